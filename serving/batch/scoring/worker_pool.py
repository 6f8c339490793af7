"""The worker processes of a job as the engine sees them, and what becomes of lost ones."""

import json
import selectors
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.job.silence_notice import Silence, SilenceWatch
from cloche.serving.batch.scoring.crash_recovery import PartRetry, WorkerDeath
from cloche.serving.batch.scoring.part_queue import Lane, lane
from cloche.serving.batch.scoring.worker_start import Process, Starter
from cloche.serving.errors import JobFailed

# Reading and writing a part, and loading a version, take seconds, and minutes on a slow disk.
_OTHERWISE_SECONDS = 1800.0
_SEND_SECONDS = 60.0
_ASKED_SECONDS = 5.0  # of which exit handlers have two
_END_SECONDS = 10.0
_LOOK_SECONDS = 0.25
_MOST_STARTS = 64  # in the place of lost workers, where each takes seconds


class WorkerPool:
    """The workers of a job, and what they said last."""

    def __init__(
        self, job: Job, directory: Path, starter: Starter, *, patience: float,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Take what workers are told, and how they are treated.

        Args:
            job: What they work on.
            directory: Where they leave parts.
            starter: Starts them.
            patience: Seconds that one call of the model may take.
            say: Is told of those that are silent.
        """
        self._hello = {"job": job.to_json(), "directory": str(directory)}
        self._starter = starter
        self._patience = patience
        self._say = say
        self._selector = selectors.DefaultSelector()
        self._watch = SilenceWatch(2 * _LOOK_SECONDS)
        self._needs: list[str] = []
        self._replaced = 0
        self._at_once: int | None = None
        self.workers: list[WorkerProcess] = []

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        idle = [worker for worker in self.workers if worker.is_idle]
        for worker in idle:
            worker.socket.close()
        until = monotonic() + _ASKED_SECONDS
        for worker in self.workers:
            worker.end(max(0.0, until - monotonic()) if worker in idle else 0.0)
        self._selector.close()

    @property
    def free(self) -> list["WorkerProcess"]:
        """Workers without a part, also those that still load the version."""
        return [worker for worker in self.workers if worker.case is None]

    def give(self, worker: "WorkerProcess", part: Part) -> None:
        """Have a free worker score a part, with as many rows at once as it had time for before."""
        worker.give(PartRetry(part, self._at_once), self._watch.look())

    def hire(self, case: PartRetry | None = None) -> None:
        """Start a worker, perhaps for a case that another one left.

        Raises:
            JobFailed: None can be started.
        """
        worker = WorkerProcess(self._starter, self._needs, self._watch.look())
        worker.begin(self._hello, case)
        self._selector.register(worker.socket, selectors.EVENT_READ, worker)
        self.workers.append(worker)

    def wait(self) -> Iterator[FinishedPart]:
        """What is finished next, if anything.

        Raises:
            JobFailed: A worker says that it cannot go on, or a part kills every worker.
        """
        for key, _ in self._selector.select(_LOOK_SECONDS):
            worker: WorkerProcess = key.data
            for message in worker.hear(self._watch.seconds):
                yield from self._heard(worker, message)
        now = self._watch.look()
        for worker in list(self.workers):
            if worker.gone:
                self._lose(worker, "", again=True)
            elif not worker.is_idle:
                self._look_at(worker, now)

    def _heard(self, worker: "WorkerProcess", message: dict[str, Any]) -> Iterator[FinishedPart]:
        if "failed" in message:
            raise JobFailed(message["failed"])
        if "ready" in message:
            self._needs = message["imports"]
        case = worker.case
        finished = worker.take(message)
        if finished is not None:
            if case is not None and case.hung and not case.without:
                self._at_once = case.at_once  # later parts need not hang first
            yield finished

    def _look_at(self, worker: "WorkerProcess", now: float) -> None:
        """Say it when a worker is silent, and replace it when it has been for too long."""
        limit = self._patience if worker.rows else _OTHERWISE_SECONDS
        lasts = worker.silence.lasts(now)
        stopped = worker.is_stopped if lasts >= min(limit, worker.silence.word) else False
        if worker.silence.due(now):
            state = "its process is stopped" if stopped else f"it is {worker.doing}"
            self._say(
                f"{worker} has been silent for {lasts:.0f} s: {state}, and is ended after "
                f"{limit:g} s" + (" (--predict-timeout)" if worker.rows else "")
            )
        if lasts >= limit:
            self._lose(worker, f"silent for {limit:g} s", again=stopped or not worker.rows)

    def _lose(self, worker: "WorkerProcess", silent: str, *, again: bool) -> None:
        """Go on without a worker that is gone, or was silent for too long."""
        self._selector.unregister(worker.socket)
        self.workers.remove(worker)
        how = worker.end(0.0 if silent else _ASKED_SECONDS)
        if not worker.ready and not any(other.ready for other in self.workers):  # it is the version
            raise JobFailed(f"A worker died while it loaded the version ({silent or how}).")
        if worker.case is None:
            return
        reason = ""
        if silent and not again:
            reason = f"scoring it took longer than {self._patience:g} s (--predict-timeout)"
        worker.case.died(WorkerDeath(silent or how, reason, worker.rows, again))
        self._replaced += 1
        if not self._starter.quick and self._replaced > _MOST_STARTS:
            raise JobFailed(
                f"{self._replaced} workers were lost ({silent or how}), and each new one takes "
                "seconds to start on this system. What was done stays done; take out the rows that "
                "end them, or mend the model, and go on with --resume."
            )
        self.hire(worker.case)


class WorkerProcess:
    """A worker process as the engine sees it.

    Attributes:
        socket: To the process.
        ready: Whether it has loaded the version.
        gone: Whether it has closed its end, or does not listen.
        case: What it works on.
        lane: That of its last part.
        doing: What it does now, in words.
        rows: From which row of the part to which the model is asked now, if it is.
        silence: Since it said something last.
    """

    def __init__(self, starter: Starter, needs: list[str], now: float) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(_SEND_SECONDS)
        with theirs:
            try:
                self._process: Process = starter.start(theirs, needs)
            except BaseException:
                self.socket.close()
                raise
        self._pid = self._process.pid  # of its supervisor, until it says its own
        self.ready = False
        self.gone = False
        self.lane: Lane | None = None
        self.case: PartRetry | None = None
        self.doing = "loading the version"
        self.rows: tuple[int, int] | None = None
        self.silence = Silence(now)
        self._read = b""

    def __str__(self) -> str:
        """The part that it works on, or the worker."""
        return f"part {self.case.part.index}" if self.case else f"worker {self._pid}"

    @property
    def is_idle(self) -> bool:
        """Whether nobody expects it to say anything."""
        return self.ready and self.case is None

    @property
    def is_stopped(self) -> bool:
        """Whether a signal stopped it, as far as this system tells."""
        try:
            state = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        return state[:1] == ["T"]

    def begin(self, hello: dict[str, Any], case: PartRetry | None) -> None:
        """Have it load the version of a job, perhaps for a case that another one left."""
        self.case = case
        self._send(hello)

    def give(self, case: PartRetry, now: float) -> None:
        """Have a case worked on."""
        self.case = case
        self.lane = lane(case.part)
        self._ask(now)

    def hear(self, now: float) -> Iterator[dict[str, Any]]:
        """What it says now."""
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            data = b""
        self.gone = not data
        self.silence = Silence(now)
        *lines, self._read = (self._read + data).split(b"\n")
        yield from map(json.loads, lines)

    def take(self, message: dict[str, Any]) -> FinishedPart | None:
        """Go on after a message; the finished part, if it is one."""
        if "doing" in message:
            self.doing = message["doing"]
            self.rows = tuple(message["rows"]) if message["rows"] else None
            return None
        self.rows = None
        if "ready" in message:
            self.ready, self._pid = True, message["ready"]
        if "finished" in message:
            self.case = None
            return FinishedPart.from_json(message["finished"])
        if self.case is not None:
            if "survived" in message:
                self.case.survived()
            self._ask(self.silence.began)
        return None

    def end(self, patience: float) -> str:
        """End the process, which may take so many seconds to do it by itself; how it ended."""
        self.socket.close()
        code = self._process.code(patience)
        if code is None:
            self._process.kill()
            code = self._process.code(_END_SECONDS)  # it may hang in the kernel
        return "it does not end" if code is None else _exit_in_words(code)

    def _ask(self, now: float) -> None:
        if self.case is not None:
            self.doing, self.rows, self.silence = "reading", None, Silence(now)
            self._send(self.case.request())

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:  # the case is given to another
            self.gone = True
            if isinstance(error, TimeoutError):
                self._process.kill()


def _exit_in_words(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
