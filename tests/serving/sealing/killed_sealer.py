"""Seals a spool and is killed before its nth change of a file; for a process of its own."""

import os
import signal
import sys
from pathlib import Path

from cloche.serving.sealing.sealer import Sealer

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.chmod")


def main(spool: str, destination: str, last: int) -> int:
    """Seal, or be killed; return how many changes were made."""
    changes = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal changes
        writes = event == "open" and isinstance(arguments[1], str) and "w" in arguments[1]
        if writes or event in _CHANGES:
            changes += 1
            if changes == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sealer = Sealer(Path(spool), destination)
    sys.addaudithook(count)
    sealer.seal()
    return changes
