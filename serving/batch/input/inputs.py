"""The inputs of a job: files, the rows of a SQL query, or a stream that is read once."""

import hashlib
import io
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from tempfile import TemporaryFile
from typing import IO, Any

import pyarrow as pa

from cloche.serving.batch.input import csv_advice, database
from cloche.serving.batch.input.byte_stream import ByteStream
from cloche.serving.batch.input.categories import Categories, stream_types
from cloche.serving.batch.input.columns import columns, refuse_duplicates, types
from cloche.serving.batch.input.csv_options import PLAIN, CsvOptions
from cloche.serving.batch.input.formats.catalog import INPUT_FORMATS, input_format
from cloche.serving.batch.input.formats.format import ColumnarInput, TextInput
from cloche.serving.batch.input.partitions import Partitioner
from cloche.serving.batch.input.readers.csv import HeaderUndecodable
from cloche.serving.batch.input.sources import InputFile, find, opened_files, streamed
from cloche.serving.batch.job import silence_notice
from cloche.serving.batch.job.part import Part
from cloche.serving.errors import JobFailed, SettingsError

_HEAD = 1 << 20  # bytes, large enough to contain any usual header


class Inputs(ABC):
    """The input of a job.

    Attributes:
        fingerprints: Name of each file or other source → its fingerprint.
        total_size: The sum of `stop - start` over all parts, for the progress bar; 0 if unknown.
        repeatable: Whether the same parts can be produced again.
        has_fingerprints: Whether `fingerprints` reveal a changed input.
        takes_options: Whether the CSV options say how any source is written.
    """

    fingerprints: dict[str, str]
    total_size: int = 0
    repeatable = True
    has_fingerprints = False
    takes_options = False
    _name: str  # of the whole input, for messages

    def set_csv_options(self, csv_options: CsvOptions) -> None:  # noqa: B027  # only CSV has options
        """Read CSV with these options from now on."""

    @abstractmethod
    def columns(self) -> list[str]:
        """Return the column names of the input."""

    def lacking(self, needed: list[str]) -> str:
        """Return a clause that names the needed columns that are missing; empty if none is."""
        found = self.columns()
        absent = [name for name in needed if name not in found]
        return f"{self._name} lacks {', '.join(absent)}" if absent else ""

    def advice(self, needed: list[str]) -> str:
        """Return advice on missing columns: those that may be meant, and the options to type."""
        return csv_advice.for_names(self.columns(), needed)

    @abstractmethod
    def inferred(self) -> dict[str, dict[str, str]]:
        """Return source → column → type over all rows, for a version without a signature."""

    @abstractmethod
    def parts(self, partitioner: Partitioner, done: frozenset[int]) -> Iterator[Part]:
        """Yield the parts in row order; parts whose index is in `done` need not be readable."""

    def changed(self) -> str:
        """Return the name of a source that has changed since it was listed; empty if none has."""
        return ""

    @abstractmethod
    def reads(self) -> list[str]:
        """Return the paths, URIs and globs that the input reads."""


class Files(Inputs):
    """The files of a path, glob, directory or URI."""

    has_fingerprints = True

    def __init__(self, source: str, given_format: str | None) -> None:
        self._source, self._format = source, given_format
        self.files = find(source, given_format)
        self.fingerprints = {file.name: file.fingerprint for file in self.files}
        forms = [input_format(file.format) for file in self.files]
        text = all(isinstance(format_, TextInput) for format_ in forms)
        text = text and not any(file.packed for file in self.files)
        self.total_size = sum(file.size for file in self.files) if text else 0
        self.takes_options = any(format_.takes_options for format_ in forms)

    def set_csv_options(self, csv_options: CsvOptions) -> None:
        """See `Inputs.set_csv_options`."""
        self.files = [replace(file, csv_options=csv_options) for file in self.files]

    def columns(self) -> list[str]:
        """See `Inputs.columns`."""
        return columns(self.files[0])

    def lacking(self, needed: list[str]) -> str:
        """See `Inputs.lacking`. JSON rows may have different keys, so they are not checked here."""
        for file in self.files:
            if not input_format(file.format).uniform:
                continue
            found = set(columns(file))
            if absent := [name for name in needed if name not in found]:
                return f"{file.name} lacks {', '.join(dict.fromkeys(absent))}"
        return ""

    def advice(self, needed: list[str]) -> str:
        """See `Inputs.advice`."""
        for file in self.files:
            format_ = input_format(file.format)
            try:
                names = columns(file) if format_.uniform else needed
            except HeaderUndecodable:
                names = []
            if not names or not set(needed) <= set(names):
                if not format_.takes_options:
                    return csv_advice.for_names(names, needed)
                with streamed(replace(file, csv_options=PLAIN)) as raw:  # bytes as in the file
                    return csv_advice.for_header(raw.read(_HEAD), file, needed)
        return ""

    def inferred(self) -> dict[str, dict[str, str]]:
        """See `Inputs.inferred`. Each file is typed by itself, as MLflow reads it."""
        return {file.name: types(file) for file in self.files}

    def parts(self, partitioner: Partitioner, done: frozenset[int]) -> Iterator[Part]:
        """See `Inputs.parts`."""
        return partitioner.parts(self.files, done)

    def changed(self) -> str:
        """See `Inputs.changed`."""
        now = {file.name: file.fingerprint for file in find(self._source, self._format)}
        known = self.fingerprints.items()
        return next((name for name, state in known if now.get(name) != state), "")

    def reads(self) -> list[str]:
        """See `Inputs.reads`."""
        return [*self.fingerprints, self._source]


class Query(Inputs):
    """The rows of a SQL query, copied to disk once so that each part can be read again."""

    _name = "the query"

    def __init__(self, url: str, query: str, rows: int) -> None:
        self._url, self._query, self._rows = url, query, rows
        name = database.shown(url)
        self.fingerprints = {name: hashlib.sha256(query.encode()).hexdigest()[:32]}

    def columns(self) -> list[str]:
        """See `Inputs.columns`."""
        names = database.columns(self._url, self._query)
        refuse_duplicates(names, "The query")
        return names

    def inferred(self) -> dict[str, dict[str, str]]:
        """See `Inputs.inferred`. Batches carry their types; `Partitioner` refuses later changes."""
        return {name: {} for name in self.fingerprints}

    def parts(self, partitioner: Partitioner, done: frozenset[int]) -> Iterator[Part]:
        """See `Inputs.parts`."""
        kept = partitioner.kept(done)
        if kept is not None:
            return iter(kept)
        if done:
            raise JobFailed(
                "The job stopped while it copied the rows of the query, and another look could "
                "give others. Begin anew with --overwrite."
            )
        found = database.batches(self._url, self._query, self._rows)
        return partitioner.batches(silence_notice.awaiting_each(found, "the database"))

    def reads(self) -> list[str]:
        """See `Inputs.reads`."""
        return database.files(self._url)


class Stream(Inputs):
    """A stream of text or Arrow, like standard input."""

    repeatable = False
    _name = "standard input"

    def __init__(self, stream: IO[bytes], given_format: str | None) -> None:
        if given_format not in INPUT_FORMATS:
            raise SettingsError("A stream has no name that tells its format: give --input-format.")
        self._form = input_format(given_format)
        if isinstance(self._form, ColumnarInput):
            if self._form.read_stream is None:
                name = given_format.title()
                raise SettingsError(
                    f"{name} is read from its end and cannot be streamed: give a file."
                )
            self._read_batches = self._form.read_stream
        self.takes_options = self._form.takes_options
        self._file = InputFile("-", given_format, 0, "", local=False)
        self._files = opened_files(stream)
        self._head = stream.read(_HEAD)
        self._stream: Any = _HeadAndRest(self._head, stream)
        self._kept = ExitStack()
        self._categories = Categories()
        self.fingerprints = {"-": ""}

    def set_csv_options(self, csv_options: CsvOptions) -> None:
        """See `Inputs.set_csv_options`."""
        self._file = replace(self._file, csv_options=csv_options)

    def columns(self) -> list[str]:
        """See `Inputs.columns`."""
        if isinstance(self._form, TextInput):
            names = self._form.columns(self._text(io.BytesIO(self._head)), self._file)
        else:
            names = self._read_batches(io.BytesIO(self._head)).schema.names
        refuse_duplicates(names, "Standard input")
        return names

    def _text(self, stream: Any) -> Any:
        return self._file.csv_options.decoded(stream) if self._file.recoded else stream

    def lacking(self, needed: list[str]) -> str:
        """See `Inputs.lacking`. JSON rows may have different keys, so they are not checked here."""
        return super().lacking(needed) if self._form.uniform else ""

    def advice(self, needed: list[str]) -> str:
        """See `Inputs.advice`."""
        if self.takes_options:
            return csv_advice.for_header(self._head, self._file, needed)
        return super().advice(needed)

    def inferred(self) -> dict[str, dict[str, str]]:
        """See `Inputs.inferred`. The stream is first copied to disk, because all rows decide."""
        kept = TemporaryFile()  # noqa: SIM115  # closed by the exit stack
        self._kept.enter_context(kept)
        shutil.copyfileobj(self._stream, kept, 1 << 20)
        kept.seek(0)
        try:
            found = (
                self._form.types(self._text(kept), self._file, len(self.columns()))
                if isinstance(self._form, TextInput)
                else stream_types(self._read_batches(kept), self._categories)
            )
        except (ValueError, pa.ArrowException) as error:
            raise JobFailed(
                f"Standard input cannot be read as {self._file.format}: {error}"
            ) from error
        kept.seek(0)
        self._stream = kept
        return {"-": found}

    def parts(self, partitioner: Partitioner, done: frozenset[int]) -> Iterator[Part]:  # noqa: ARG002
        """See `Inputs.parts`."""
        with self._kept:
            if isinstance(self._form, TextInput):
                yield from partitioner.stream(self._file, self._text(self._stream))
            else:
                batches = self._read_batches(self._stream)
                yield from partitioner.batches(map(self._categories.complete, batches))

    def reads(self) -> list[str]:
        """See `Inputs.reads`. Standard input may be a file that the shell opened."""
        return self._files


class _HeadAndRest(ByteStream):
    """A stream of the bytes that were already read, followed by the rest of the stream."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; fewer than requested only at the end or where the head ends."""
        if self._head:
            wanted = len(self._head) if size < 0 else size
            found, self._head = self._head[:wanted], self._head[wanted:]
            return found + (self._rest.read() if size < 0 else b"")
        return self._rest.read(size)
