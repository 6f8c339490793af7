"""The lock at a destination: of those who rewrite files, one at a time."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cloche.prediction_log.destination import Destination
from cloche.prediction_log.errors import LogError

_PATH = "maintenance.json"
_LOST_AFTER = 3600  # seconds; a holder on another machine that was killed cannot be asked


@contextmanager
def exclusive(destination: Destination) -> Iterator[None]:
    """Rewrite files within the context, while nobody else does.

    Raises:
        LogError: Somebody else does.
        DestinationFailed: The destination does not answer.
    """
    host, pid, now = socket.gethostname(), os.getpid(), time.time_ns() // 1_000_000_000
    found = json.loads(destination.read(_PATH) or b"{}")
    if found and now - found["since"] < _LOST_AFTER and _lives(found, host):
        raise LogError(
            f"{destination.shown(_PATH)}: process {found['pid']} on {found['host']} rewrites files "
            "of this log. Wait until it has ended; if it was killed, remove that file."
        )
    own = json.dumps({"host": host, "pid": pid, "since": now}).encode()
    destination.put(_PATH, own)
    if destination.read(_PATH) != own:
        raise LogError(f"{destination.shown(_PATH)}: somebody else was faster. Try again later.")
    try:
        yield
    finally:
        destination.remove(_PATH)


def _lives(found: dict[str, object], host: str) -> bool:
    if found["host"] != host:
        return True
    with suppress(ProcessLookupError, PermissionError):
        os.kill(int(str(found["pid"])), 0)
        return True
    return False
