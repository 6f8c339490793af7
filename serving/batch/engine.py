"""What turns parts into finished parts; the local engine does it in processes on this machine."""

import json
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from serving.batch.job import Job
from serving.batch.part import FinishedPart, Part
from serving.batch.restraint import Case
from serving.batch.waiting import Lane, Waiting, lane
from serving.errors import JobFailed
from serving.host.threads import sized


class Engine(Protocol):
    """Finishes parts in any order, anywhere, into a directory that the job can read."""

    def run(self, job: Job, parts: Iterator[Part], directory: Path) -> Iterator[FinishedPart]:
        """Finish all parts.

        Raises:
            JobFailed: A part cannot be finished.
        """


class LocalEngine:
    """Worker processes on this machine, one for each core."""

    def __init__(self, workers: int, ahead: int | None = None) -> None:
        """Take how many workers, and how many parts may be finished before an earlier one is.

        The latter bounds what a stream leaves on the disk; None is as many as there are.
        """
        self._workers = workers
        self._ahead = ahead

    def run(self, job: Job, parts: Iterator[Part], directory: Path) -> Iterator[FinishedPart]:
        """See `Engine`."""
        waiting = Waiting(parts, self._workers)
        unfinished: set[int] = set()
        with _Crew(job, directory) as crew:
            while waiting or unfinished:
                while len(crew.workers) < self._workers and len(waiting) > len(crew.free):
                    crew.hire()
                for worker in crew.free:
                    if worker.ready and waiting and not self._too_far(waiting, unfinished):
                        lanes = [one.lane for one in crew.workers if one is not worker]
                        part = waiting.take(worker.lane, [one for one in lanes if one])
                        unfinished.add(part.index)
                        worker.give(Case(part))
                for finished in crew.wait():
                    unfinished.discard(finished.index)
                    yield finished

    def _too_far(self, waiting: Waiting, unfinished: set[int]) -> bool:
        ahead = self._ahead
        return ahead is not None and waiting.first() - min(unfinished, default=1 << 62) >= ahead


class _Crew:
    """The workers of a job, and what they said last."""

    def __init__(self, job: Job, directory: Path) -> None:
        self._hello = {"job": job.to_json(), "directory": str(directory)}
        self._selector = selectors.DefaultSelector()
        self.workers: list[_Worker] = []

    def __enter__(self) -> "_Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.end()
        self._selector.close()

    @property
    def free(self) -> list["_Worker"]:
        """Workers without a part, also those that still load the version."""
        return [worker for worker in self.workers if worker.case is None]

    def hire(self, case: Case | None = None) -> None:
        """Start a worker, perhaps for a case that another one left."""
        worker = _Worker(self._hello, case)
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
        code = worker.end()
        if not worker.ready:
            raise JobFailed(f"A worker died while it loaded the version ({_told(code)}).")
        if worker.case is not None:
            worker.case.died(_told(code))
            self.hire(worker.case)


class _Worker:
    """A worker process as the engine sees it."""

    def __init__(self, hello: dict[str, Any], case: Case | None) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                [sys.executable, "-m", "serving.batch.process", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=sys.stderr,
                env=_environment(),
            )  # fmt: skip
        self.ready = False
        self.gone = False
        self.lane: Lane | None = None
        self.case = case
        self._read = b""
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

    def end(self) -> int:
        """End the process if it still runs; its exit code."""
        self.socket.close()
        if not self.gone:
            self._process.kill()
        return self._process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except ConnectionError:
            self.gone = True  # its closed socket will be seen, and the case given to another


def _told(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _environment() -> dict[str, str]:
    arrow = {"ARROW_NUM_THREADS": "1"}  # each worker is one core's
    return {**arrow, **os.environ, **sized(os.environ, 1), "PYTHONUNBUFFERED": "1"}
