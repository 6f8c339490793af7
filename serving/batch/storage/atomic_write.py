"""Writes files that exist completely or not at all, even after a power failure."""

import hashlib
import os
import secrets
from pathlib import Path

from cloche.serving.batch.job.part import PartFile

_MASK = os.umask(0)  # read at import, because a model may change the umask later
os.umask(_MASK)


def write(place: Path, content: bytes | memoryview, *, contested: bool = False) -> PartFile:
    """Write a file in one step, and wait until it is on the disk.

    Args:
        place: The path of the file.
        content: The content of the file.
        contested: Whether an abandoned process may still be writing the same file. The temporary
            file then has a random name, and a crash leaves it behind.

    Raises:
        OSError: The file cannot be written, for instance because the disk is full.
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
    """Rename a file or directory, replacing a file, so that the name survives a power failure."""
    here.replace(there)
    sync(there.parent)


def sync(place: Path) -> None:
    """Wait until the content of a file, or the entries of a directory, are on the disk."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
