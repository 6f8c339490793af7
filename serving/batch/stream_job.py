"""A job whose output is a stream: parts are written in row order, and no part is kept."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import IO

from cloche.serving.batch import overlap_checks, resume_checks
from cloche.serving.batch.input.inputs import Inputs
from cloche.serving.batch.input.partitions import Partitioner
from cloche.serving.batch.input.sources import opened_files
from cloche.serving.batch.job.options import JobOptions, JobResult
from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.job.progress import ProgressCallback
from cloche.serving.batch.output import merge_parts
from cloche.serving.batch.output.layout import Output
from cloche.serving.batch.publish import empty_schema, manifest_of
from cloche.serving.batch.report.render import nulls
from cloche.serving.batch.scoring.local_engine import Engine
from cloche.values.progress import Say


def score(
    request: JobOptions, inputs: Inputs, output: Output, *, engine: Engine, sink: IO[bytes],
    refused: Callable[[bytes], object], say: Say, on_progress: ProgressCallback,
) -> JobResult:  # fmt: skip
    """Score the inputs into `sink`; lines about refused rows go to `refused`.

    Raises:
        SettingsError: The stream is redirected into a file of the input.
        JobFailed: The job cannot continue.
        ServingError: The version cannot be pinned.
    """
    overlap_checks.refuse("standard output", opened_files(sink), inputs.reads())
    started = perf_counter()
    job = resume_checks.pin_job(request, inputs, output, say)
    with tempfile.TemporaryDirectory(prefix="cloche-") as name:
        spool, directory = Path(name) / "spool", Path(name) / "parts"
        spool.mkdir()
        directory.mkdir()
        known: dict[int, Part] = {}
        partitioner = Partitioner(
            job.part_rows, spool, job.inferred, copies=not engine.reads_stores
        )

        def noted() -> Iterator[Part]:
            for part in inputs.parts(partitioner, frozenset()):
                known[part.index] = part
                yield part

        written = _OrderedWriter(job, directory, sink, refused)
        for finished in engine.run(job, noted(), directory):
            source = known.pop(finished.index)
            if source.transient:
                Path(source.source).unlink(missing_ok=True)
            written.take(finished)
            request.limit.check(written.refused, written.rows, all_read=False)
            on_progress(rows=written.rows, refused=written.refused, done=None)
        request.limit.check(written.refused, written.rows, all_read=True)
        written.close()
    made = manifest_of(job, written.parts, perf_counter() - started)
    for line in nulls(made):
        say(line)
    return JobResult(made, fresh=True)


class _OrderedWriter:
    """Writes finished parts to the stream in row order; a part waits for those before it."""

    def __init__(
        self, job: Job, directory: Path, sink: IO[bytes], on_refused: Callable[[bytes], object]
    ) -> None:
        self._job, self._directory, self._sink, self._on_refused = job, directory, sink, on_refused
        self._waiting: dict[int, FinishedPart] = {}
        self._appender: merge_parts.Appender | None = None
        self.parts: list[FinishedPart] = []
        self.rows = self.refused = 0

    def take(self, finished: FinishedPart) -> None:
        """Write a part and the parts that waited for it, or keep it until its turn."""
        self._waiting[finished.index] = finished
        while (part := self._waiting.pop(len(self.parts), None)) is not None:
            if part.data is not None:
                self._append([part]).part(part, self._directory)
            for line in merge_parts.quarantine([part], self._directory, before=self.rows):
                self._on_refused(line)
            for left in self._directory.glob(f"{part.index:06d}.*"):
                left.unlink()
            self.parts.append(part)
            self.rows, self.refused = self.rows + part.rows, self.refused + part.refused

    def close(self) -> None:
        """Write the end of the output; for an output without rows, also its header."""
        self._append([]).close()
        self._sink.flush()

    def _append(self, parts: list[FinishedPart]) -> merge_parts.Appender:
        """Return the appender of the stream; the first part with rows decides the columns."""
        if self._appender is None:
            empty = empty_schema(self._job)
            schema = merge_parts.schema_of(self._job, parts, self._directory, empty)
            self._appender = merge_parts.Appender(self._job, schema, self._sink)
        return self._appender
