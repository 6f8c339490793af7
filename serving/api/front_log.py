"""The prediction log of a front: what it has answered, and the requests that no host answered.

Model hosts log what they computed. A front counts which of it was answered, in a mapped file, so
that a killed front loses none; and it logs the failures that only it knows: no room, too late, a
lost host. It must not know what a model host has read or predicted.
"""

import asyncio
import logging
import time
from pathlib import Path

from cloche.rollout.assignment import position
from cloche.serving.api.exchange import Exchange
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.frames import Answer, LogCounts, LogNote
from cloche.serving.spool.counters import Counters
from cloche.serving.spool.log_plan import LogPlan, door_name
from cloche.serving.spool.segment import DISK_FULL, ERROR, SPOOL_FULL, NotSpooled, SegmentWriter
from cloche.serving.web.asgi import HeaderList, HttpError

_ID_HEADER = b"x-prediction-id"
_LONGEST_ID = 1024
_FAILED = 400
_TOLD = {SPOOL_FULL: "spool_full", DISK_FULL: "disk_full", ERROR: "error"}
_logger = logging.getLogger(__name__)

Failure = tuple[object, ...]
Version = tuple[str, str, str]  # the model's name in the registry, the version, the served name


def log_note(headers: HeaderList) -> LogNote:
    """What the log needs to know of a request that arrives now with these headers."""
    named = b""
    for name, value in headers:
        if name == _ID_HEADER:
            named = value[:_LONGEST_ID]
    return LogNote(time.time_ns() // 1000, named)


class FrontLog:
    """Counts answered rows by version and hour, and logs failures."""

    def __init__(self, plan: LogPlan, metrics: Metrics) -> None:
        """Count nothing yet.

        Raises:
            OSError: The file of the counters cannot be made.
        """
        self._plan = plan
        self._metrics = metrics
        folder = Path(plan.folder)
        self._counters = Counters(folder, {"server": plan.server, "process": "front"})
        self._segments: dict[Version, SegmentWriter] = {}
        self._failures: dict[Version, list[Failure]] = {}
        self._loop = asyncio.get_running_loop()
        self._failing = False

    def before_answer(self, exchange: Exchange, outcome: Answer | HttpError) -> None:
        """Count an answer that is sent next, and log it if it is a failure that no host has logged.

        Counted before, so that a front that is killed has counted all that clients have.
        """
        if (note := exchange.log) is None:
            return
        model = exchange.target.model
        version = model.uri.model or model.name, exchange.version, model.name
        try:
            if isinstance(outcome, Answer) and outcome.status < _FAILED:
                self._count("answered", outcome.rows, version, note.received_at)
                return
            self._count("failed", 1, version, note.received_at)
            if isinstance(outcome, HttpError):
                self._log_failure(exchange, note, outcome, version)
        except OSError as error:
            self._warn(str(error))

    def _count(self, what: str, rows: int, version: Version, received_at: int) -> None:
        model, number, _ = version
        self._counters.add(what, rows, model=model, version=number, received_at=received_at)

    def _log_failure(
        self, exchange: Exchange, note: LogNote, outcome: HttpError, version: Version
    ) -> None:
        """Log a failure, with all others of this round of the event loop."""
        self._count("computed", 1, version, note.received_at)
        share = self._plan.sample * 100
        if share < 100 and position("log", "", exchange.id) >= share:
            self._count("sampled_out", 1, version, note.received_at)
            return
        request = exchange.request
        queued = request.sent_at - request.arrived if request and request.sent_at else 0.0
        if not self._failures:
            self._loop.call_soon(self._write_failures)
        self._failures.setdefault(version, []).append((
            exchange.id.decode("latin-1"), note.received_at, 0, outcome.status, outcome.code,
            None, (request and request.arm.decode()) or "production",
            door_name(exchange.target.protocol.name), max(1, request.attempts if request else 1),
            self._plan.sample, int(queued * 1e6), 0,
            note.prediction_id.decode("latin-1") or None, None,
        ))  # fmt: skip

    def _write_failures(self) -> None:
        failures, self._failures = self._failures, {}
        for version, requests in failures.items():
            outcome = self._write(version, requests)
            try:
                for request in requests:
                    self._count(outcome, 1, version, request[1])  # type: ignore[arg-type]
            except OSError as error:
                self._warn(str(error))

    def _write(self, version: Version, requests: list[Failure]) -> str:
        """Append a record; return how its rows are counted."""
        model, number, served = version
        segments = self._segments.get(version)
        if segments is None:
            plan = self._plan
            header = {
                "server": plan.server, "process": "front", "model": model, "version": number,
                "digest": "", "promise": plan.promise, "inputs": [], "hashed": [],
            }  # fmt: skip
            segments = self._segments[version] = SegmentWriter(
                Path(plan.folder), header, spool_bytes=plan.spool_bytes
            )
        try:
            segments.append(requests, None, None)
        except NotSpooled as error:
            self._warn(str(error))
            counted = LogCounts(**{_TOLD[error.reason]: len(requests)})
            self._metrics.count_logged(served, number, counted)
            return f"dropped: {error.reason}"
        self._metrics.count_logged(served, number, LogCounts(len(requests)))
        return "logged"

    def _warn(self, message: str) -> None:
        """Warn once until the server ends: what is dropped is counted anyway."""
        if not self._failing:
            self._failing = True
            _logger.warning("The prediction log lacks rows. %s", message)

    def close(self) -> None:
        """Write what is left, and end."""
        self._write_failures()
        for segments in self._segments.values():
            segments.close()
        self._counters.close()
