"""The life of a model host: one load, then batch after batch until the front closes the socket."""

import contextlib
import gc
import importlib
import json
import logging
import select
import socket
from collections.abc import Iterator
from pathlib import Path

from serving.host.frames import FrameReader, Kind, ProtocolError, control, read_batch, result
from serving.host.loading import load

_CHUNK = 1 << 18
_USUAL_IMPORTS = ("onnxruntime", "sklearn", "mlflow.sklearn", "skops.io")
_logger = logging.getLogger(__name__)


def serve(front: socket.socket) -> None:
    """Answer every frame that `front` sends.

    Return when it closes the socket or the version cannot be loaded.

    Raises:
        ProtocolError: The front sent something else than one `LOAD` and then batches.
    """
    _import_ahead(front)
    frames = _frames(front)
    try:
        kind, payload = next(frames)
    except StopIteration:
        return
    if kind is not Kind.LOAD:
        raise ProtocolError(f"A host is told to load first, not {kind.name}.")
    try:
        told = json.loads(bytes(payload))
        scorer, description = load(
            Path(told["path"]), twin=told["twin"], name=told["model"], version=told["version"]
        )
    except Exception as error:  # a model may raise anything while it loads
        _logger.exception("The version cannot be loaded.")
        front.sendall(control(Kind.FAILED, {"reason": f"{type(error).__name__}: {error}"}))
        return
    gc.collect()
    gc.freeze()  # what is loaded stays; collections need not walk it
    gc.enable()
    front.sendall(control(Kind.READY, description))
    for kind, payload in frames:
        if kind is not Kind.BATCH:
            raise ProtocolError(f"A loaded host takes batches, not {kind.name}.")
        front.sendall(result(scorer.score(read_batch(payload))))


def _import_ahead(front: socket.socket) -> None:
    """Import what most versions need, as long as nobody has said yet which version it is to be.

    At the start of a server the registry is asked meanwhile; these imports are half of a load.
    """
    for name in _USUAL_IMPORTS:
        asked, _, _ = select.select([front], [], [], 0)
        if asked:
            return
        with contextlib.suppress(Exception):  # a version that needs it will say what is wrong
            importlib.import_module(name)


def _frames(front: socket.socket) -> Iterator[tuple[Kind, memoryview]]:
    reader = FrameReader()
    while data := front.recv(_CHUNK):
        yield from reader.feed(data)
