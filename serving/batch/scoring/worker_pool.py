"""The worker processes of a job from the engine's side, and the replacement of lost ones."""

import json
import selectors
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from cloche.processes.machine_limits import more_memory
from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.job.silence_notice import Silence, SilenceClock
from cloche.serving.batch.scoring.crash_recovery import PartRetry, WorkerDeath
from cloche.serving.batch.scoring.part_queue import Lane, lane
from cloche.serving.batch.scoring.worker_start import Process, Starter
from cloche.serving.errors import RESUME, JobFailed
from cloche.serving.forkserver.protocol import TRAINED_IMPORTS
from cloche.values.progress import Say

# Timeout outside the model: reading, writing and loading take up to minutes on a slow disk.
_OTHERWISE_SECONDS = 1800.0
_SEND_SECONDS = 60.0
_EXIT_SECONDS = 5.0  # for a worker to end by itself; its exit handlers have two of them
_END_SECONDS = 10.0
_POLL_SECONDS = 0.25
_MOST_STARTS = 64  # replacements of lost workers, where each start takes seconds


class WorkerPool:
    """The worker processes of a job.

    Workers may begin with the twin alone. One that meets a row for the model is replaced by one
    that has both, and so are the others when they meet one: forks share the imports of the model,
    which each process would otherwise hold for itself.

    Attributes:
        twin_alone: Whether new workers begin with the twin alone.
        proven: Whether a worker has compared the twin with the model.
    """

    def __init__(
        self, job: Job, directory: Path, starter: Starter, *, time_limit: float,
        say: Say, twin_alone: bool = False,
    ) -> None:  # fmt: skip
        self.twin_alone = twin_alone
        self.proven = False
        self._load_message = {"job": job.to_json(), "directory": str(directory)}
        self._starter = starter
        self._time_limit = time_limit
        self._say = say
        self._selector = selectors.DefaultSelector()
        self._clock = SilenceClock(2 * _POLL_SECONDS)
        self._imports: Sequence[str] = ()
        if job.model.twin and not twin_alone:
            self._imports = TRAINED_IMPORTS
        self._replaced = 0
        self._rows_per_call: int | None = None
        self.workers: list[WorkerProcess] = []

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        idle = [worker for worker in self.workers if worker.is_idle]
        for worker in idle:
            worker.socket.close()
        until = monotonic() + _EXIT_SECONDS
        for worker in self.workers:
            worker.end(max(0.0, until - monotonic()) if worker in idle else 0.0)
        self._selector.close()

    @property
    def free(self) -> list["WorkerProcess"]:
        """The workers without a part, including those that are still loading the version."""
        return [worker for worker in self.workers if worker.attempt is None]

    def assign(self, worker: "WorkerProcess", part: Part) -> None:
        """Give a part to a free worker, with fewer rows per call if an earlier part timed out."""
        worker.assign(PartRetry(part, self._rows_per_call), self._clock.tick())

    def start_worker(self, attempt: PartRetry | None = None) -> None:
        """Start a worker, with the part of a lost worker if there is one.

        Raises:
            JobFailed: No worker can be started.
        """
        worker = WorkerProcess(
            self._starter, self._imports, self._clock.tick(), twin_alone=self.twin_alone
        )
        worker.load(self._load_message | {"twin_alone": self.twin_alone}, attempt)
        self._selector.register(worker.socket, selectors.EVENT_READ, worker)
        self.workers.append(worker)

    def wait(self) -> Iterator[FinishedPart]:
        """Wait for messages of workers for a short time, and yield the parts that are finished.

        Raises:
            JobFailed: A worker reported that it cannot continue, or a part kills every worker.
        """
        for key, _ in self._selector.select(_POLL_SECONDS):
            worker: WorkerProcess = key.data
            for message in worker.receive(self._clock.seconds):
                yield from self._handle_message(worker, message)
        now = self._clock.tick()
        for worker in list(self.workers):
            if worker.disconnected:
                self._replace(worker, "", again=True)
            elif not worker.is_idle:
                self._check_silence(worker, now)

    def _handle_message(
        self, worker: "WorkerProcess", message: dict[str, Any]
    ) -> Iterator[FinishedPart]:
        if "failed" in message:
            raise JobFailed(message["failed"])
        if "ready" in message:
            self._imports = message["imports"]
            self.proven = self.proven or message["proven"]
        attempt = worker.attempt
        if "model_needed" in message:
            self.twin_alone, self._imports = False, TRAINED_IMPORTS
            self._remove(worker, 0.0)
            self.start_worker(attempt)
            return
        finished = worker.handle(message)
        if finished is not None:
            if attempt is not None and attempt.hung and not attempt.excluded_rows:
                self._rows_per_call = (
                    attempt.rows_per_call
                )  # so that later parts need not time out first
            yield finished

    def _check_silence(self, worker: "WorkerProcess", now: float) -> None:
        """Report a silent worker, and replace it if its timeout has passed."""
        limit = self._time_limit if worker.rows else _OTHERWISE_SECONDS
        lasts = worker.silence.lasts(now)
        stopped = worker.is_stopped if lasts >= min(limit, worker.silence.word) else False
        if worker.silence.due(now):
            state = "its process is stopped" if stopped else f"it is {worker.doing}"
            self._say(
                f"{worker} has been silent for {lasts:.0f} s: {state}, and is ended after "
                f"{limit:g} s" + (" (--predict-timeout)" if worker.rows else "")
            )
        if lasts >= limit:
            self._replace(worker, f"silent for {limit:g} s", again=stopped or not worker.rows)

    def _replace(self, worker: "WorkerProcess", silent: str, *, again: bool) -> None:
        """Replace a worker that has ended or exceeded its timeout."""
        how = self._remove(worker, 0.0 if silent else _EXIT_SECONDS)
        alike = [other for other in self.workers if other.twin_alone == worker.twin_alone]
        if not worker.ready and not any(other.ready for other in alike):  # it fails to load
            raise JobFailed(f"A worker died while it loaded the version ({silent or how}).")
        if worker.attempt is None:
            return
        reason, where = "", worker.doing.removeprefix("predicting") if worker.rows else ""
        if silent and not again:
            limit = f"{self._time_limit:g} s{where}"
            reason = f"scoring it took longer than {limit} (--predict-timeout)"
        worker.attempt.died(WorkerDeath(f"{silent or how}{where}", reason, worker.rows, again))
        self._replaced += 1
        if not self._starter.quick and self._replaced > _MOST_STARTS:
            raise JobFailed(
                f"{self._replaced} workers were lost ({silent or how}), and each new one takes "
                f"seconds to start on this system. Where memory ran out, {more_memory()}; where "
                f"the model or its rows are mended, begin anew with --overwrite. {RESUME}"
            )
        self.start_worker(worker.attempt)

    def _remove(self, worker: "WorkerProcess", time_limit: float) -> str:
        """End a worker, which has `time_limit` seconds to end by itself; return how it ended."""
        self._selector.unregister(worker.socket)
        self.workers.remove(worker)
        return worker.end(time_limit)


class WorkerProcess:
    """A worker process from the engine's side.

    Attributes:
        socket: The engine's end of the socket to the process.
        twin_alone: Whether the process loads the twin alone.
        ready: Whether the process has loaded the version, or its twin alone.
        disconnected: Whether the process has closed its end of the socket, or does not read it.
        attempt: The part that the worker is scoring; None if it has no part.
        lane: The lane of the worker's last part; None before its first part.
        doing: What the worker is doing now, for messages.
        rows: The range of rows of the part in the model's current call; None outside a call.
        silence: The time since the last message of the worker.
    """

    def __init__(
        self, starter: Starter, imports: Sequence[str], now: float, *, twin_alone: bool
    ) -> None:
        self.twin_alone = twin_alone
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(_SEND_SECONDS)
        with theirs:
            try:
                self._process: Process = starter.start(theirs, imports)
            except BaseException:
                self.socket.close()
                raise
        self._pid = self._process.pid  # the supervisor's, until the worker reports its own
        self.ready = False
        self.disconnected = False
        self.lane: Lane | None = None
        self.attempt: PartRetry | None = None
        self.doing = "loading the version"
        self.rows: tuple[int, int] | None = None
        self.silence = Silence(now)
        self._read = b""

    def __str__(self) -> str:
        """The part that the worker is scoring, or the worker without one, for messages."""
        return f"part {self.attempt.part.index}" if self.attempt else f"worker {self._pid}"

    @property
    def is_idle(self) -> bool:
        """Whether the worker is loaded and has no part, so that no message is expected."""
        return self.ready and self.attempt is None

    @property
    def is_stopped(self) -> bool:
        """Whether a signal has stopped the process; always False without `/proc`."""
        try:
            state = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        return state[:1] == ["T"]

    def load(self, load_message: dict[str, Any], attempt: PartRetry | None) -> None:
        """Have the worker load the version of a job, then score `attempt` if it is given."""
        self.attempt = attempt
        self._send(load_message)

    def assign(self, attempt: PartRetry, now: float) -> None:
        """Give a part to the worker."""
        self.attempt = attempt
        self.lane = lane(attempt.part)
        self._ask(now)

    def receive(self, now: float) -> Iterator[dict[str, Any]]:
        """Receive the messages that have arrived from the worker."""
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            data = b""
        self.disconnected = not data
        self.silence = Silence(now)
        *lines, self._read = (self._read + data).split(b"\n")
        yield from map(json.loads, lines)

    def handle(self, message: dict[str, Any]) -> FinishedPart | None:
        """Process a message, send the next request if there is one, and return a finished part."""
        if "doing" in message:
            self.doing = message["doing"]
            if "rows" in message:  # a stage of the call has none of its own
                self.rows = tuple(message["rows"]) if message["rows"] else None
            return None
        self.rows = None
        if "ready" in message:
            self.ready, self._pid = True, message["ready"]
        if "finished" in message:
            self.attempt = None
            return FinishedPart.from_json(message["finished"])
        if self.attempt is not None:
            if "survived" in message:
                self.attempt.survived()
            self._ask(self.silence.began)
        return None

    def end(self, time_limit: float) -> str:
        """Wait up to `time_limit` seconds, then kill the process; return how it ended."""
        self.socket.close()
        code = self._process.code(time_limit)
        if code is None:
            self._process.kill()
            code = self._process.code(_END_SECONDS)  # the kernel may delay its end
        return "it does not end" if code is None else _exit_in_words(code)

    def _ask(self, now: float) -> None:
        if self.attempt is not None:
            self.doing, self.rows, self.silence = "reading", None, Silence(now)
            self._send(self.attempt.request())

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:  # the pool gives the part to another worker
            self.disconnected = True
            if isinstance(error, TimeoutError):
                self._process.kill()


def _exit_in_words(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
