"""The main loop of a model host: one load, then batches until the front closes the socket."""

import contextlib
import gc
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from cloche.processes import supervisor
from cloche.serving.host.load import load, load_twin_first
from cloche.serving.host.log_records.prediction_log import PredictionLog
from cloche.serving.host.scoring import HostScorer
from cloche.serving.host.twin_first import LoadedVersion, TwinFirstScorer
from cloche.serving.processes import priority
from cloche.serving.processes.frames import (
    FrameReader,
    Kind,
    ProtocolError,
    Result,
    control,
    read_batch,
    result,
)
from cloche.serving.spool.log_plan import LogPlan

_CHUNK = 1 << 18
_logger = logging.getLogger(__name__)


def serve(front: socket.socket) -> None:
    """Answer every frame that `front` sends.

    Returns when the front closes the socket or the version cannot be loaded.

    Raises:
        ProtocolError: The front sent other frames than one `LOAD` and then batches and checks.
    """
    frames = _frames(front)
    try:
        kind, payload = next(frames)
    except StopIteration:
        return
    if kind is not Kind.LOAD:
        raise ProtocolError(f"A host is told to load first, not {kind.name}.")
    host = _Host(front)
    scorer = host.load(json.loads(payload))
    if scorer is None:
        return
    for kind, payload in frames:
        if kind is Kind.CHECK:
            host.send(result(scorer.check()))
        elif kind is Kind.BATCH:
            host.answer(scorer.score(read_batch(payload)))
        else:
            raise ProtocolError(f"A loaded host takes batches and checks, not {kind.name}.")


class _Host:
    """Loads the version, and reports the result to the front."""

    def __init__(self, front: socket.socket) -> None:
        self._front = front
        self._lock = threading.Lock()
        self._log: PredictionLog | None = None

    def answer(self, answers: Result) -> None:
        """Send the answers to a batch, and log them: before, so that no answer is without its rows.

        What the log has no promise for is written after.
        """
        if (log := self._log) is None:
            self.send(result(answers))
            return
        counted = log.before_answer(answers.predict_seconds)
        self.send(result(answers._replace(logged=counted)))
        log.write(answers.predict_seconds)

    def send(self, frame: bytes) -> None:
        """Send a frame; any thread may call this."""
        supervisor.end_stray_fork()
        with self._lock:
            self._front.sendall(frame)

    def load(self, request: dict[str, Any]) -> HostScorer | TwinFirstScorer | None:
        """Load the version in the front's message; None if it cannot be loaded."""
        path = Path(request["path"])
        if "log" in request:
            self._log = PredictionLog(LogPlan.from_json(request["log"]))
        known = {
            "twin": request["twin"], "name": request["model"], "version": request["version"],
            "as_stage": request["as_stage"], "log": self._log,
        }  # fmt: skip
        if request["stays_low"]:
            priority.lower()
        try:
            if request["twin_first"] and (by_twin := load_twin_first(path, **known)):
                scorer, description = by_twin
                self.send(control(Kind.TWIN_READY, {**description, "pid": os.getpid()}))
                scorer.when_loaded(self._report_load)
                return scorer
            with priority.lowered() if request["low_priority"] else contextlib.nullcontext():
                loaded = load(path, **known)
                gc.collect()
        except Exception as error:  # noqa: BLE001  # a model may raise anything while it loads
            self._refuse(error)
            return None
        self._accept(loaded)
        return loaded.scorer

    def _report_load(self, whole: "Future[LoadedVersion]") -> None:
        """Report the result of loading a version whose twin already answers.

        There is no `gc.collect()` here: it would delay answers for a fifth of a second.
        """
        with contextlib.suppress(OSError):  # the front may have closed the socket meanwhile
            if (error := whole.exception()) is None:
                self._accept(whole.result())
            else:
                self._refuse(error)

    def _accept(self, loaded: LoadedVersion) -> None:
        gc.freeze()  # loaded objects are permanent, so collections need not visit them
        gc.enable()
        self.send(control(Kind.READY, {**loaded.description, "pid": os.getpid()}))

    def _refuse(self, error: BaseException) -> None:
        _logger.error("The version cannot be loaded.", exc_info=error)
        self.send(control(Kind.FAILED, {"reason": f"{type(error).__name__}: {error}"}))


def _frames(front: socket.socket) -> Iterator[tuple[Kind, bytes]]:
    reader = FrameReader()
    while data := front.recv(_CHUNK):
        yield from reader.feed(data)
