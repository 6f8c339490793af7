"""The protocol of engines, which finish parts, and the local engine with worker processes."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from cloche.processes import child_variables
from cloche.registry.env_manager import NotBuilt
from cloche.serving.batch.job.options import PREDICT_SECONDS
from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.scoring.kept_proofs import KeptProofs
from cloche.serving.batch.scoring.part_queue import PartQueue
from cloche.serving.batch.scoring.worker_pool import WorkerPool
from cloche.serving.batch.scoring.worker_start import Starter, starter
from cloche.serving.errors import JobFailed
from cloche.serving.processes.thread_limits import thread_variables
from cloche.values.progress import Say


class Engine(Protocol):
    """Finishes parts in any order, on any machine, into a directory that the job can read.

    Attributes:
        reads_stores: Whether the processes that read parts have credentials for object stores.
    """

    reads_stores: bool

    def run(
        self, job: Job, parts: Iterator[Part], directory: Path
    ) -> Generator[FinishedPart, None, None]:
        """Yield all parts when they are finished; closing the generator early stops all work.

        Raises:
            JobFailed: A part cannot be finished.
        """


Interpreter = Callable[[Path], str]  # artifacts → path of an interpreter; empty for the current one


def interpreter_of(job: Job, interpreter: Interpreter) -> str:
    """Return the interpreter of the environment of a job's version; empty for the current one.

    Raises:
        JobFailed: The environment cannot be built.
    """
    try:
        return interpreter(Path(job.model.path))
    except NotBuilt as error:
        raise JobFailed(f"{job.model}: {error}") from error


class LocalEngine:
    """Scores parts in worker processes on this machine.

    Use it as a context manager, so that processes that `prepare` started are ended.
    """

    reads_stores = False  # a worker also runs the model, which must not get the credentials

    def __init__(
        self, workers: int, ahead: int | None = None, extra_names: Sequence[str] = (), *,
        interpreter: Interpreter = lambda _: "", time_limit: float = PREDICT_SECONDS,
        say: Say = lambda _: None, proofs: KeptProofs | None = None,
    ) -> None:  # fmt: skip
        """Store the settings.

        Args:
            workers: The number of worker processes.
            ahead: How many parts may be finished while an earlier one is not: this limits the disk
                space that a stream needs; None for no limit.
            extra_names: Additional variables for models; see `cloche.processes.child_variables`.
            interpreter: Returns the interpreter for a version's artifacts; empty for the current
                one.
            time_limit: The timeout of one call of the model, in seconds.
            say: Receives messages about silent workers.
            proofs: The kept proofs of twins; None to compare each twin with its model.
        """
        self._interpreter = interpreter
        self._workers = workers
        self._ahead = ahead
        self._variables = _variables(extra_names)
        self._time_limit = time_limit
        self._say = say
        self._proofs = proofs
        self._starter: Starter | None = None

    def __enter__(self) -> "LocalEngine":
        return self

    def __exit__(self, *_: object) -> None:
        if self._starter is not None:
            self._starter.close()

    def prepare(self, uri: str = "") -> None:
        """Start the imports of workers before the job is pinned: they take a second or two.

        If the twin alone scored the last job with the model URI `uri`, the imports of the model are
        left out.
        """
        expected = self._proofs is not None and self._proofs.sufficed_for(uri)
        self._starter = starter(self._variables, twin_alone=expected)

    def run(
        self, job: Job, parts: Iterator[Part], directory: Path
    ) -> Generator[FinishedPart, None, None]:
        """See `Engine.run`."""
        python = interpreter_of(job, self._interpreter)
        # a proof is one for the environment in which this command runs
        proofs = self._proofs if job.model.twin and not python else None
        twin_alone = proofs is not None and proofs.has(job.model)
        self._starter = self._starter or starter(self._variables, python, twin_alone=twin_alone)
        waiting = PartQueue(parts, self._workers)
        unfinished: set[int] = set()
        news: list[FinishedPart] = []
        with WorkerPool(
            job, directory, self._starter, time_limit=self._time_limit, say=self._say,
            twin_alone=twin_alone,
        ) as pool:  # fmt: skip
            while True:
                while len(pool.workers) < self._workers and len(waiting) > len(pool.free):
                    pool.start_worker()
                self._assign(pool, waiting, unfinished)
                yield from news  # the caller writes the journal while workers score their next part
                news = []
                waiting.fill()
                if not unfinished and not waiting:
                    if proofs is not None and (twin_alone or pool.proven):
                        proofs.keep(job.model, sufficed=pool.twin_alone or not twin_alone)
                    return
                try:
                    for finished in pool.wait():
                        unfinished.discard(finished.index)
                        news.append(finished)
                except JobFailed:
                    yield from news  # so that the journal has the parts that are finished
                    raise

    def _assign(self, pool: WorkerPool, waiting: PartQueue, unfinished: set[int]) -> None:
        """Give parts to the workers that have no part."""
        for worker in pool.free:
            if worker.ready and waiting and not self._too_far(waiting, unfinished):
                lanes = [one.lane for one in pool.workers if one is not worker]
                part = waiting.take(worker.lane, [one for one in lanes if one])
                unfinished.add(part.index)
                pool.assign(worker, part)

    def _too_far(self, waiting: PartQueue, unfinished: set[int]) -> bool:
        ahead = self._ahead
        return ahead is not None and waiting.first() - min(unfinished, default=1 << 62) >= ahead


def _variables(extra_names: Sequence[str]) -> dict[str, str]:
    # onnxruntime's telemetry runs in a thread, which forks would lack
    fixed = {"ARROW_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}  # each worker uses one core
    own = child_variables.for_models(os.environ, extra_names)
    return {**fixed, **own, **thread_variables(own, 1), "PYTHONUNBUFFERED": "1"}
