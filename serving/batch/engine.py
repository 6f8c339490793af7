"""What turns parts into finished parts; the local engine does it in processes on this machine."""

import json
import os
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from cloche import environment, launch, supervisor
from cloche.env_manager import NotBuilt
from cloche.serving.batch.job import Job
from cloche.serving.batch.part import FinishedPart, Part
from cloche.serving.batch.restraint import Case
from cloche.serving.batch.waiting import Lane, Waiting, lane
from cloche.serving.errors import JobFailed
from cloche.serving.host.threads import sized

_PREPARED = 2
_END_SECONDS = 5.0  # of which exit handlers have two
_STDERR = 2  # what a model prints must not get between the lines of a result


class Engine(Protocol):
    """Finishes parts in any order, anywhere, into a directory that the job can read.

    Attributes:
        reads_stores: Whether what reads the parts has the keys of object stores.
    """

    reads_stores: bool

    def run(
        self, job: Job, parts: Iterator[Part], directory: Path
    ) -> Generator[FinishedPart, None, None]:
        """Finish all parts; closed before its end, it stops all work.

        Raises:
            JobFailed: A part cannot be finished.
        """


class LocalEngine:
    """Worker processes on this machine, one for each core.

    Leave it as a context manager, so that workers that were prepared in vain are ended.
    """

    reads_stores = False  # a worker runs the model, too

    def __init__(
        self,
        workers: int,
        ahead: int | None = None,
        widened: Sequence[str] = (),
        *,
        interpreter: Callable[[Path], str] = lambda _: "",
    ) -> None:
        """Take how workers are used.

        Args:
            workers: How many there are.
            ahead: How many parts may be finished before an earlier one is, which bounds what a
                stream leaves on the disk; None is as many as there are.
            widened: Variables that models get besides; see `cloche.environment`.
            interpreter: Of the environment for a version's artifacts; empty for the one here.
        """
        self._interpreter = interpreter
        self._workers = workers
        self._ahead = ahead
        self._variables = _variables(widened)
        self._prepared: list[_Worker] = []

    def __enter__(self) -> "LocalEngine":
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._prepared)

    def prepare(self) -> None:
        """Start the first workers before there is a job: what they import takes a second or two.

        Only those that nearly every job needs.
        """
        count = min(_PREPARED, self._workers)
        self._prepared = [_Worker(self._variables) for _ in range(count)]

    def run(
        self, job: Job, parts: Iterator[Part], directory: Path
    ) -> Generator[FinishedPart, None, None]:
        """See `Engine`."""
        try:
            python = self._interpreter(Path(job.model.path))
        except NotBuilt as error:
            raise JobFailed(f"{job.model}: {error}") from error
        waiting = Waiting(parts, self._workers)
        unfinished: set[int] = set()
        news: list[FinishedPart] = []
        with _Crew(job, directory, self._prepared, self._variables, python) as crew:
            while True:
                while len(crew.workers) < self._workers and len(waiting) > len(crew.free):
                    crew.hire()
                self._assign(crew, waiting, unfinished)
                yield from news  # noted on the disk while the workers have their next part already
                news = []
                if not unfinished and not waiting:
                    return
                try:
                    for finished in crew.wait():
                        unfinished.discard(finished.index)
                        news.append(finished)
                except JobFailed:
                    yield from news  # what was done stays done
                    raise

    def _assign(self, crew: "_Crew", waiting: Waiting, unfinished: set[int]) -> None:
        """Give parts to the workers that have none."""
        for worker in crew.free:
            if worker.ready and waiting and not self._too_far(waiting, unfinished):
                lanes = [one.lane for one in crew.workers if one is not worker]
                part = waiting.take(worker.lane, [one for one in lanes if one])
                unfinished.add(part.index)
                worker.give(Case(part))

    def _too_far(self, waiting: Waiting, unfinished: set[int]) -> bool:
        ahead = self._ahead
        return ahead is not None and waiting.first() - min(unfinished, default=1 << 62) >= ahead


class _Crew:
    """The workers of a job, and what they said last."""

    def __init__(
        self, job: Job, directory: Path, prepared: list["_Worker"], variables: dict[str, str],
        python: str,
    ) -> None:  # fmt: skip
        self._hello = {"job": job.to_json(), "directory": str(directory)}
        self._prepared = prepared
        self._variables = variables
        self._python = python
        self._selector = selectors.DefaultSelector()
        self.workers: list[_Worker] = []

    def __enter__(self) -> "_Crew":
        return self

    def __exit__(self, *_: object) -> None:
        _end(self.workers)
        self._selector.close()

    @property
    def free(self) -> list["_Worker"]:
        """Workers without a part, also those that still load the version."""
        return [worker for worker in self.workers if worker.case is None]

    def hire(self, case: Case | None = None) -> None:
        """Start a worker, perhaps for a case that another one left."""
        worker = self._prepared.pop() if self._prepared else _Worker(self._variables, self._python)
        worker.begin(self._hello, case)
        self._selector.register(worker.socket, selectors.EVENT_READ, worker)
        self.workers.append(worker)

    def wait(self) -> Iterator[FinishedPart]:
        """What is finished next, if anything.

        Raises:
            JobFailed: A worker says that it cannot go on, or a part kills every worker.
        """
        for key, _ in self._selector.select():
            worker: _Worker = key.data
            for message in worker.hear():
                if "failed" in message:
                    raise JobFailed(message["failed"])
                finished = worker.take(message)
                if finished is not None:
                    yield finished
            if worker.gone:
                self._replace(worker)

    def _replace(self, worker: "_Worker") -> None:
        self._selector.unregister(worker.socket)
        self.workers.remove(worker)
        code = worker.end(_END_SECONDS)
        if not worker.ready and not any(other.ready for other in self.workers):  # it is the version
            raise JobFailed(f"A worker died while it loaded the version ({_told(code)}).")
        if worker.case is not None:
            worker.case.died(_told(code))
            self.hire(worker.case)


class _Worker:
    """A worker process as the engine sees it."""

    def __init__(self, variables: dict[str, str], python: str = "") -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                launch.command("cloche.serving.batch.process", str(theirs.fileno()), python=python),
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=_STDERR,
                env=variables,
            )  # fmt: skip
        self.ready = False
        self.gone = False
        self.lane: Lane | None = None
        self.case: Case | None = None
        self._read = b""

    def begin(self, hello: dict[str, Any], case: Case | None) -> None:
        """Have it load the version of a job, perhaps for a case that another one left."""
        self.case = case
        self._send(hello)

    def give(self, case: Case) -> None:
        """Have a case worked on."""
        self.case = case
        self.lane = lane(case.part)
        self._send(case.question())

    def hear(self) -> Iterator[dict[str, Any]]:
        """What it says now."""
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        self.gone = not data
        *lines, self._read = (self._read + data).split(b"\n")
        yield from map(json.loads, lines)

    def take(self, message: dict[str, Any]) -> FinishedPart | None:
        """Go on after a message; the finished part, if it is one."""
        if "ready" in message:
            self.ready = True
        if "finished" in message:
            self.case = None
            return FinishedPart.from_json(message["finished"])
        if self.case is not None:
            if "survived" in message:
                self.case.survived()
            self._send(self.case.question())
        return None

    def end(self, patience: float) -> int:
        """End the process, which may take so many seconds to do it by itself; its exit code."""
        self.socket.close()
        return supervisor.end(self._process, patience)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except ConnectionError:
            self.gone = True  # its closed socket will be seen, and the case given to another


def _end(workers: Sequence[_Worker]) -> None:
    """Ask those that have nothing to do, by closing their sockets, and insist."""
    for worker in workers:
        worker.socket.close()
    end = time.monotonic() + _END_SECONDS
    for worker in workers:
        idle = worker.ready and worker.case is None
        worker.end(max(0.0, end - time.monotonic()) if idle else 0.0)


def _told(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _variables(widened: Sequence[str]) -> dict[str, str]:
    arrow = {"ARROW_NUM_THREADS": "1"}  # each worker is one core's
    own = environment.for_models(os.environ, widened)
    return {**arrow, **own, **sized(own, 1), "PYTHONUNBUFFERED": "1"}
