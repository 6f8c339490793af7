"""Files that are there whole or not at all, also after the power failed."""

import hashlib
import os
import secrets
from pathlib import Path

from cloche.serving.batch.job.part import PartFile

_MASK = os.umask(0)  # kept, since a model may change that of its process
os.umask(_MASK)


def write(place: Path, content: bytes | memoryview, *, contested: bool = False) -> PartFile:
    """Put `content` under its name in one step, on the disk and not only in memory.

    Args:
        place: The name.
        content: What it names.
        contested: Whether another process, that was given up, may be writing the same file still.
            What a crash leaves of it then stays under a name that nobody writes again.

    Raises:
        OSError: It cannot be written, for instance because the disk is full.
    """
    own = f".{secrets.token_hex(4)}" if contested else ""
    fresh = place.with_name(f".{place.name}{own}.fresh")
    try:
        with fresh.open("wb") as file:
            os.fchmod(file.fileno(), 0o666 & ~_MASK)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        move(fresh, place)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    return PartFile(place.name, memoryview(content).nbytes, hashlib.sha256(content).hexdigest())


def move(here: Path, there: Path) -> None:
    """Rename a file or directory, replacing a file, so that the new name survives."""
    here.replace(there)
    sync(there.parent)


def sync(place: Path) -> None:
    """Wait until a file's content, or a directory's names, are on the disk."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
