"""The engine that finishes parts on a Spark cluster."""

import json
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.job.silence_notice import awaiting
from cloche.serving.batch.scoring.local_engine import Interpreter, interpreter_of
from cloche.serving.batch.spark.part_scheduler import PartScheduler, ScheduledParts
from cloche.serving.batch.spark.session import session
from cloche.serving.errors import RESUME, JobFailed

_JOBS = 2  # while the last tasks of one Spark job run, the next job fills the free cores
_TASKS = 4  # per core and Spark job: these parts are recorded together, and lost if the driver dies
_THREADS = 64  # for waiting for Spark jobs


class SparkEngine:
    """Scores parts on Spark executors, at a master URL or by Spark's own configuration."""

    reads_stores = True  # in separate processes, see `daemon.py`

    def __init__(
        self, master: str | None, extra_names: Sequence[str] = (), *,
        interpreter: Interpreter = lambda _: "",
    ) -> None:  # fmt: skip
        """Store the settings.

        Args:
            master: The master URL; None for Spark's own configuration.
            extra_names: Additional variables for models; see `cloche.processes.child_variables`.
            interpreter: Returns the interpreter for a version's artifacts, which must have the same
                path on all machines; empty for the executors' own.
        """
        self._master = master
        self._extra_names = extra_names
        self._interpreter = interpreter

    def run(
        self, job: Job, parts: Iterator[Part], directory: Path
    ) -> Generator[FinishedPart, None, None]:
        """See `local_engine.Engine.run`; `directory` must be shared by all machines."""
        first = next(parts, None)
        if first is None:  # no part is left, so Spark need not start
            return
        python = interpreter_of(job, self._interpreter)
        with session(self._master, f"cloche score {job.model}", self._extra_names) as spark:
            from cloche.serving.batch.spark.spark_job import create_spark_job  # noqa: PLC0415  # needs PySpark

            with (
                create_spark_job(spark, job, directory, self._extra_names, python) as flowing,
                ThreadPoolExecutor(_THREADS) as threads,
            ):
                try:
                    scheduler = PartScheduler(chain([first], parts), flowing=flowing.columns.whole)
                    for finished in _Driver(spark, flowing, scheduler, threads).finish():
                        _require_files(finished, directory)
                        yield finished
                finally:
                    with suppress(Exception):  # a Spark that has stopped has no jobs left
                        spark.sparkContext.cancelAllJobs()


class _Driver:
    """Submits the parts of the part scheduler to Spark."""

    def __init__(
        self, spark: Any, flowing: Any, scheduler: PartScheduler, threads: ThreadPoolExecutor
    ) -> None:
        self._spark, self._flow = spark, flowing
        self._scheduler, self._threads = scheduler, threads
        self._running: dict[Future[list[Any]], ScheduledParts] = {}

    def finish(self) -> Iterator[FinishedPart]:
        """Yield all parts when they are finished."""
        while self._ask():
            with awaiting("Spark"):
                done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                submitted = self._running.pop(future)
                try:
                    records = future.result()
                except Exception as error:  # noqa: BLE001  # errors of Spark and of py4j
                    self._scheduler.died(submitted, self._judge(error))
                    continue
                answers = [json.loads(row.record) for row in records]
                yield from self._scheduler.answered(submitted, answers)

    def _ask(self) -> bool:
        """Submit Spark jobs until all cores are busy; return whether any job is running."""
        cores = self._spark.sparkContext.defaultParallelism
        while sum(_JOBS if one.alone else cores for one in self._running.values()) < _JOBS * cores:
            submitted = self._scheduler.next(_TASKS * cores)
            if submitted is None:
                break
            frame = self._flow.records(submitted.requests())
            self._running[self._threads.submit(frame.collect)] = submitted
        return bool(self._running)

    def _judge(self, error: Exception) -> str:
        """Return how a task died, for messages.

        Raises:
            JobFailed: No task died: Spark has stopped, or an executor cannot run Cloche's code.
        """
        from pyspark.errors import PythonException  # noqa: PLC0415  # PySpark is an extra

        text = str(error)
        # the text occurs if the process from which workers are forked does not even start
        if isinstance(error, PythonException) or "Error from python worker" in text:
            raise JobFailed(
                f"An executor of Spark cannot run the job: {_last_line(text)}. It needs the same "
                "Python, cloche and packages of the model as here; PYSPARK_PYTHON names it."
            ) from error
        if self._gone():
            raise JobFailed(f"Spark stopped while it worked. {RESUME}") from error
        return "in Spark"

    def _gone(self) -> bool:
        context = self._spark.sparkContext._jsc
        try:
            return context is None or bool(context.sc().isStopped())
        except Exception:  # noqa: BLE001  # py4j's: the JVM process has ended
            return True


def _last_line(text: str) -> str:
    """Return the last line of a traceback that names an exception, or the whole text."""
    lines = [
        line.strip() for line in text.splitlines() if "Error: " in line or "Exception: " in line
    ]
    return lines[-1] if lines else text


def _require_files(finished: FinishedPart, directory: Path) -> None:
    """Make sure that the driver sees the files that an executor wrote.

    Raises:
        JobFailed: A file is missing on the driver.
    """
    for file in (finished.data, finished.quarantine):
        if file is not None and not (directory / file.name).exists():
            names = {
                place.name for place in directory.iterdir()
            }  # makes a network file system refresh itself
            if file.name not in names:
                raise JobFailed(
                    f"{directory / file.name}: an executor of Spark wrote it, and it is not here. "
                    "The output, or for one in a store --cache-dir, must lie where all machines "
                    "see the same files."
                )
