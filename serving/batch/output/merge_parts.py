"""Merges finished parts, in row order, into the files of the output."""

import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from cloche.serving.batch.job.part import FinishedPart
from cloche.serving.batch.job.pinned_job import Job, metadata
from cloche.serving.batch.output import merged_schema
from cloche.serving.batch.output.formats.catalog import output_format
from cloche.serving.batch.output.formats.format import TextOutput
from cloche.serving.batch.storage import atomic_write
from cloche.serving.errors import JobFailed


def schema_of(
    job: Job, parts: Iterable[FinishedPart], directory: Path, empty: pa.Schema
) -> pa.Schema:
    """Return a schema of the output that is wide enough for every part; `empty` if none has rows.

    Raises:
        JobFailed: Parts have different columns.
    """
    found = [_schema(job, part, directory / part.data.name) for part in parts if part.data]
    return merged_schema.common(found) if found else empty


def assemble(
    job: Job, parts: Iterable[FinishedPart], directory: Path, schema: pa.Schema, place: Path
) -> None:
    """Write all parts to one file.

    Raises:
        OSError: The file cannot be written.
    """
    with place.open("wb") as file, closing(Appender(job, schema, file)) as append:
        for part in parts:
            append.part(part, directory)
    atomic_write.sync(place)


def unify(job: Job, parts: Iterable[FinishedPart], directory: Path, schema: pa.Schema) -> None:
    """Give all files of a directory the same schema; only files that differ are rewritten."""
    format_ = output_format(job.layout.format)
    if isinstance(format_, TextOutput):
        return
    for part in parts:
        place = directory / part.data.name if part.data else None
        if place is not None and format_.read_schema(place).remove_metadata() != schema:
            table = merged_schema.cast_table(format_.read(place), schema)
            atomic_write.write(place, format_.serialize(table, metadata(job)))


class IncrementalMerge:
    """Writes the output file while later parts are scored, as `assemble` would at the end.

    It takes the schema of the first part for that of all, and gives up when a part has another one.
    It has a thread, so that no worker waits for its next part while a file is written.
    """

    def __init__(self, job: Job, directory: Path, place: Path) -> None:
        self._job, self._directory, self._place = job, directory, place
        self._waiting: dict[int, FinishedPart] = {}
        self._next = 0
        self._schema: pa.Schema | None = None
        self._file: IO[bytes] | None = None
        self._append: Appender | None = None
        self._possible = not job.layout.directory
        self._thread = ThreadPoolExecutor(1, "cloche-merge")
        self._written: list[Future[None]] = []

    def take(self, part: FinishedPart) -> None:
        """Write a part and those that waited for it, or keep it until its turn."""
        self._written.append(self._thread.submit(self._take, part))

    def _take(self, part: FinishedPart) -> None:
        self._waiting[part.index] = part
        while self._possible and self._next in self._waiting:
            following = self._waiting.pop(self._next)
            self._next += 1
            try:
                self._write(following)
            except (OSError, JobFailed):  # `assemble` says why
                self._possible = False

    def _write(self, part: FinishedPart) -> None:
        if part.data is None:
            return
        schema = _schema(self._job, part, self._directory / part.data.name)
        if self._append is None:
            self._schema, self._file = schema, self._place.open("wb")
            self._append = Appender(self._job, schema, self._file)
        self._possible = schema == self._schema
        if self._possible:
            self._append.part(part, self._directory)

    def close(self, schema: pa.Schema | None = None) -> bool:
        """End the file; return whether it is complete and has this schema."""
        self._thread.shutdown()
        for written in self._written:
            written.result()
        self._written = []
        whole = self._possible and not self._waiting and self._file is not None
        try:
            if self._append is not None:
                self._append.close()
            if self._file is not None:
                self._file.close()
        except OSError:  # `assemble` says why
            whole = False
        self._append = self._file = None
        if whole and schema == self._schema:
            atomic_write.sync(self._place)
            return True
        return False


class Appender:
    """Appends parts to a file or stream in the format of the job."""

    def __init__(self, job: Job, schema: pa.Schema, sink: IO[bytes]) -> None:
        self._schema = schema
        self._sink = sink
        self._writer: Any = None  # of a columnar format
        format_ = output_format(job.layout.format)
        if isinstance(format_, TextOutput):
            sink.write(format_.serialize_header(schema.names))
        else:
            self._writer = format_.open_writer(sink, schema.with_metadata(metadata(job)))

    def part(self, part: FinishedPart, directory: Path) -> None:
        """Append the rows of a part."""
        if part.data is None:
            return
        merged_schema.refuse_other_columns(
            self._schema.names, part.columns
        )  # a stream's schema comes from its first part alone
        place = directory / part.data.name
        if self._writer is None:
            with place.open("rb") as file:
                shutil.copyfileobj(file, self._sink, 1 << 20)
        else:
            with pa.memory_map(str(place)) as file:
                table = pa.ipc.open_file(file).read_all()
                self._writer.write_table(merged_schema.cast_table(table, self._schema))

    def close(self) -> None:
        """Finish the output; columnar files end with a footer."""
        if self._writer is not None:
            self._writer.close()


def quarantine(parts: Iterable[FinishedPart], directory: Path, before: int = 0) -> Iterator[bytes]:
    """Yield the quarantine lines of parts, with row numbers of the whole input from `before`."""
    for part in parts:
        if part.quarantine is not None:
            with (directory / part.quarantine.name).open("rb") as lines:
                for line in lines:
                    # only the number at the start changes: the rest stays as it was written
                    number, comma, rest = line.removeprefix(b'{"row": ').partition(b",")
                    yield b'{"row": %d' % (before + int(number)) + comma + rest
        before += part.rows


def _schema(job: Job, part: FinishedPart, place: Path) -> pa.Schema:
    format_ = output_format(job.layout.format)
    if isinstance(format_, TextOutput):  # text has no types
        return pa.schema([(name, pa.null()) for name in part.columns])
    if job.layout.directory:
        return format_.read_schema(place).remove_metadata()
    with pa.memory_map(str(place)) as file:
        found: Any = pa.ipc.open_file(file).schema
        return found
