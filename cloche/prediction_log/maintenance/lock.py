"""The lock at a destination: of those who rewrite files, one at a time."""

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cloche.prediction_log.destination import Destination
from cloche.prediction_log.errors import LogError

_FOLDER = "maintenance"
_LOST_AFTER = 24 * 3600  # seconds; a holder on another machine that was killed cannot be asked


@contextmanager
def exclusive(destination: Destination) -> Iterator[None]:
    """Rewrite files within the context, while nobody else does.

    Object stores cannot write a file only if it is missing. So each writes a file of its own and
    then looks for others: of two that begin together at least one sees the other.

    Raises:
        LogError: Somebody else does.
        DestinationFailed: The destination does not answer.
    """
    host, pid, now = socket.gethostname(), os.getpid(), time.time_ns() // 1_000_000_000
    own = f"{_FOLDER}/{secrets.token_hex(8)}.json"
    destination.put(own, json.dumps({"host": host, "pid": pid, "since": now}).encode())
    try:
        for file in destination.files(_FOLDER, suffix=".json"):
            found = json.loads(destination.read(file.path) or b"{}")
            if not found or file.path == own:
                continue
            if now - found["since"] < _LOST_AFTER and _lives(found, host):
                raise LogError(
                    f"{destination.shown(file.path)}: process {found['pid']} on {found['host']} "
                    "rewrites files of this log. Wait until it has ended; if it was killed, remove "
                    "that file."
                )
            destination.remove(file.path)
        yield
    finally:
        destination.remove(own)


def _lives(found: dict[str, object], host: str) -> bool:
    if found["host"] != host:
        return True
    try:
        os.kill(int(str(found["pid"])), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is of another user
        return True
    return True
