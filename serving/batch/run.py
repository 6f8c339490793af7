"""Runs the steps of a job, from the pinned version to the finished output."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

from cloche.serving.batch import overlap_checks, resume_checks
from cloche.serving.batch.input.inputs import Inputs
from cloche.serving.batch.input.partitions import Partitioner
from cloche.serving.batch.job.options import JobOptions, JobResult
from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.job.progress import Report
from cloche.serving.batch.output.layout import Output
from cloche.serving.batch.output.output_lock import OutputLock
from cloche.serving.batch.output.work_dir import WorkDir, owned
from cloche.serving.batch.publish import Publisher, record
from cloche.serving.batch.report import refusals
from cloche.serving.batch.report.mlflow_run import JobRun
from cloche.serving.batch.report.render import document, drift, drifted
from cloche.serving.batch.report.statistics import add
from cloche.serving.batch.scoring.local_engine import Engine
from cloche.serving.errors import JobFailed, TooManyBadRows
from cloche.serving.host.reference_profile import load_profile

Say = Callable[[str], None]


def score(
    request: JobOptions, supply: Inputs, output: Output, *, engine: Engine, say: Say, report: Report
) -> JobResult:
    """Run a job, resume it, or return its manifest if it is already finished.

    Raises:
        SettingsError: The output would overwrite the input.
        JobRefused: Another job owns the output, or a resumed job's inputs or options have changed.
        JobFailed: The job cannot continue; its finished parts are kept for `--resume`.
        ServingError: The version cannot be pinned.
    """
    overlap_checks.refuse(
        str(output), output.written(request.cache), supply.reads(),
        [request.model, str(Path.cwd()), str(request.cache)],
    )  # fmt: skip
    started = perf_counter()
    with owned(output.place.work(output.name, request.cache), str(output)) as manifest:
        claim = OutputLock(output, manifest)
        if not request.overwrite and supply.repeatable and output.manifest() is None:
            claim.adopt()
        made = (
            None if request.overwrite else resume_checks.complete(request, supply, output, manifest)
        )
        if made is not None:
            if manifest.begun:  # the job died between its last two steps
                claim.leave()
                manifest.remove()
            return JobResult(made, fresh=False)
        job, lineage, done = _begin(request, supply, output, manifest, say)
        try:
            claim.take()
            planner = Partitioner(
                job.part_rows, manifest.spool, job.inferred, copies=not engine.reads_stores
            )
            scoring = _Scoring(job, supply, planner, manifest, request)
            parts = scoring.finish(engine, done, report)
            made = record(job, parts, perf_counter() - started) | {"run_id": lineage.run_id}
            made["advice"] = refusals.of_most(job, supply, parts, manifest.parts)
            report_made = summary(job, parts, made)
            made["drift"] = drift(report_made) if report_made["profiled"] else ""
            made["drifted"] = drifted(report_made)
            pages = Publisher(job, manifest, output).publish(
                parts, made, report_made, sure=claim.check
            )
        except BaseException:
            lineage.fail()
            raise
        claim.leave()
        manifest.remove()
        lineage.finish(made, pages)
    return JobResult(made, fresh=True)


def summary(job: Job, parts: list[FinishedPart], made: dict[str, Any]) -> dict[str, Any]:
    """Return the report on all parts."""
    counted: dict[str, Any] = {}
    for part in parts:
        counted = add(counted, part.statistics)
    return document(made, counted, load_profile(Path(job.model.path)))


def _begin(
    request: JobOptions, supply: Inputs, output: Output, manifest: WorkDir, say: Say
) -> tuple[Job, JobRun, dict[int, FinishedPart]]:
    """Return the job, its MLflow run, and the parts that an earlier attempt finished, by index."""
    if manifest.begun and (request.overwrite or not supply.repeatable):
        manifest.clear()
    if manifest.begun:
        job, notes, done = resume_checks.resumed(request, supply, output, manifest)
        manifest.mend()
        say(f"going on with {job.model} after {len(done)} finished parts")
        lineage = JobRun(notes["run_id"], say)
        lineage.go_on()
        return job, lineage, done
    job = resume_checks.pinned(request, supply, output, say)
    say(f"scoring with {job.model}")
    lineage = JobRun.begin(job, str(output), say) if request.tracked else JobRun("", say)
    manifest.begin(job, {"run_id": lineage.run_id})
    return job, lineage, {}


class _Scoring:
    """Scores the remaining parts of a job."""

    def __init__(
        self, job: Job, supply: Inputs, planner: Partitioner, manifest: WorkDir, request: JobOptions
    ) -> None:
        self._job, self._supply, self._planner = job, supply, planner
        self._manifest, self._limit = manifest, request.limit
        self._known: dict[int, Part] = {}

    def finish(
        self, engine: Engine, done: dict[int, FinishedPart], report: Report
    ) -> list[FinishedPart]:
        """Score the parts that are not in `done`, and return all finished parts in row order."""
        finished = dict(done)
        rows = sum(part.rows for part in done.values())
        refused = sum(part.refused for part in done.values())
        weight, whole = 0, self._supply.weight
        with closing(engine.run(self._job, self._left(done), self._manifest.parts)) as running:
            for part in running:
                self._manifest.record(part)
                finished[part.index] = part
                known = self._known.pop(part.index)
                if known.transient:
                    Path(known.source).unlink(missing_ok=True)
                rows, refused = rows + part.rows, refused + part.refused
                weight += known.stop - known.start
                report(rows=rows, refused=refused, done=weight / whole if whole else None)
                self._check(refused, rows, finished, all_read=False)
        if changed := self._supply.changed():
            raise JobFailed(
                f"{changed}: it changed while it was scored. Score it again with --overwrite when "
                "it is complete."
            )
        self._check(refused, rows, finished, all_read=True)
        return [finished[index] for index in sorted(finished)]

    def _check(
        self, refused: int, rows: int, finished: dict[int, FinishedPart], *, all_read: bool
    ) -> None:
        try:
            self._limit.check(refused, rows, all_read=all_read)
        except TooManyBadRows as error:
            why = refusals.explain(
                self._job, self._supply, finished.values(), self._manifest.parts,
                self._manifest.directory / "quarantine.jsonl",
            )  # fmt: skip
            raise TooManyBadRows(f"{error} {why}") from error

    def _left(self, done: dict[int, FinishedPart]) -> Iterator[Part]:
        for part in self._supply.parts(self._planner, frozenset(done)):
            if part.index not in done:
                self._known[part.index] = part
                yield part
