"""Files that are there whole or not at all, also after the power failed."""

import hashlib
import os
import secrets
from pathlib import Path

from serving.batch.part import PartFile


def write(place: Path, content: bytes | memoryview) -> PartFile:
    """Put `content` under its name in one step, on the disk and not only in memory.

    Raises:
        OSError: It cannot be written, for instance because the disk is full.
    """
    # a name of its own: another machine that was given up may be writing the same file still
    fresh = place.with_name(f".{place.name}.{secrets.token_hex(4)}.fresh")
    try:
        with fresh.open("wb") as file:
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
