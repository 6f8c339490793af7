"""Runs the steps of a job, from the pinned version to the finished output."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any

from cloche.drift.comparison import drifted
from cloche.drift.statistics import add
from cloche.registry.stage_names import NO_STAGE
from cloche.serving.batch import overlap_checks, resume_checks
from cloche.serving.batch.input.inputs import Inputs
from cloche.serving.batch.input.partitions import Partitioner
from cloche.serving.batch.job.options import JobOptions, JobResult
from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.job.progress import ProgressCallback
from cloche.serving.batch.output.layout import Output
from cloche.serving.batch.output.merge_parts import IncrementalMerge
from cloche.serving.batch.output.output_lock import OutputLock
from cloche.serving.batch.output.work_dir import WorkDir, locked_work_dir
from cloche.serving.batch.publish import Publisher, manifest_of
from cloche.serving.batch.report import refusals
from cloche.serving.batch.report.mlflow_run import JobRun
from cloche.serving.batch.report.render import document, drift, prepare
from cloche.serving.batch.scoring.local_engine import Engine
from cloche.serving.errors import JobFailed, TooManyBadRows
from cloche.serving.host.reference_profile import load_profile
from cloche.values.progress import Say


def score(
    request: JobOptions, inputs: Inputs, output: Output, *, engine: Engine, say: Say,
    on_progress: ProgressCallback,
) -> JobResult:  # fmt: skip
    """Run a job, resume it, or return its manifest if it is already finished.

    Raises:
        SettingsError: The output would overwrite the input.
        JobRefused: Another job owns the output, or a resumed job's inputs or options have changed.
        JobFailed: The job cannot continue; its finished parts are kept for `--resume`.
        ServingError: The version cannot be pinned.
    """
    overlap_checks.refuse(
        str(output), output.written(request.cache), inputs.reads(),
        [request.model, *{request.before} - {"", NO_STAGE}, str(Path.cwd()), str(request.cache)],
    )  # fmt: skip
    started = perf_counter()
    with locked_work_dir(output.place.work(output.name, request.cache), str(output)) as work_dir:
        output_lock = OutputLock(output, work_dir)
        if not request.overwrite and inputs.repeatable and output.manifest() is None:
            output_lock.adopt()
        manifest = (
            None if request.overwrite else resume_checks.finished(request, inputs, output, work_dir)
        )
        if manifest is not None:
            if work_dir.begun:  # the job died between its last two steps
                output_lock.release()
                work_dir.remove()
            return JobResult(manifest, fresh=False)
        job, job_run, done = _begin(request, inputs, output, work_dir, say)
        publisher = Publisher(job, work_dir, output)
        try:
            output_lock.take()
            partitioner = Partitioner(
                job.part_rows, work_dir.spool, job.inferred, copies=not engine.reads_stores
            )
            Thread(target=prepare, name="report").start()
            scoring = _Scoring(job, inputs, partitioner, work_dir, request, merge=publisher.merge)
            parts = scoring.finish(engine, done, on_progress)
            manifest = manifest_of(job, parts, perf_counter() - started) | {
                "run_id": job_run.run_id
            }
            manifest["advice"] = refusals.of_most(job, inputs, parts, work_dir.parts)
            report_document = summary(job, parts, manifest)
            manifest["drift"] = drift(report_document) if report_document["profiled"] else ""
            manifest["drifted"] = drifted(report_document)
            pages = publisher.publish(
                parts, manifest, report_document, check_lock=output_lock.check
            )
        except BaseException:
            job_run.fail()
            raise
        finally:
            publisher.merge.close()
        output_lock.release()
        work_dir.remove()
        job_run.finish(manifest, pages)
    return JobResult(manifest, fresh=True)


def summary(job: Job, parts: list[FinishedPart], manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the report on all parts."""
    counted: dict[str, Any] = {}
    for part in parts:
        counted = add(counted, part.statistics)
    return document(manifest, counted, load_profile(Path(job.model.path)))


def _begin(
    request: JobOptions, inputs: Inputs, output: Output, work_dir: WorkDir, say: Say
) -> tuple[Job, JobRun, dict[int, FinishedPart]]:
    """Return the job, its MLflow run, and the parts that an earlier attempt finished, by index."""
    if work_dir.begun and (request.overwrite or not inputs.repeatable):
        work_dir.clear()
    if work_dir.begun:
        job, notes, done = resume_checks.resume_job(request, inputs, output, work_dir)
        work_dir.drop_partial_line()
        say(f"going on with {job.model} after {len(done)} finished parts")
        job_run = JobRun(notes["run_id"], say)
        job_run.resume()
        return job, job_run, done
    job = resume_checks.pin_job(request, inputs, output, say)
    say(f"scoring with {job.model}")
    job_run = JobRun.begin(job, str(output), say) if request.tracked else JobRun("", say)
    work_dir.begin(job, {"run_id": job_run.run_id})
    return job, job_run, {}


class _Scoring:
    """Scores the remaining parts of a job."""

    def __init__(
        self, job: Job, inputs: Inputs, partitioner: Partitioner, work_dir: WorkDir,
        request: JobOptions, *, merge: IncrementalMerge,
    ) -> None:  # fmt: skip
        self._job, self._inputs, self._partitioner = job, inputs, partitioner
        self._merge = merge
        self._work_dir, self._limit = work_dir, request.limit
        self._known: dict[int, Part] = {}

    def finish(
        self, engine: Engine, done: dict[int, FinishedPart], on_progress: ProgressCallback
    ) -> list[FinishedPart]:
        """Score the parts that are not in `done`, and return all finished parts in row order."""
        finished = dict(done)
        rows = sum(part.rows for part in done.values())
        refused = sum(part.refused for part in done.values())
        so_far, whole = 0, self._inputs.total_size
        for index in sorted(done):
            self._merge.take(done[index])
        with closing(engine.run(self._job, self._left(done), self._work_dir.parts)) as running:
            for part in running:
                self._work_dir.record(part)
                self._merge.take(part)
                finished[part.index] = part
                known = self._known.pop(part.index)
                if known.transient:
                    Path(known.source).unlink(missing_ok=True)
                rows, refused = rows + part.rows, refused + part.refused
                so_far += known.stop - known.start
                on_progress(rows=rows, refused=refused, done=so_far / whole if whole else None)
                self._check(refused, rows, finished, all_read=False)
        if changed := self._inputs.changed():
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
                self._job, self._inputs, finished.values(), self._work_dir.parts,
                self._work_dir.directory / "quarantine.jsonl",
            )  # fmt: skip
            raise TooManyBadRows(f"{error} {why}") from error

    def _left(self, done: dict[int, FinishedPart]) -> Iterator[Part]:
        for part in self._inputs.parts(self._partitioner, frozenset(done)):
            if part.index not in done:
                self._known[part.index] = part
                yield part
