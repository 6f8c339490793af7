"""Folders that only their user may enter: what lies in them may be secret, and is run."""

import os
from pathlib import Path

_PRIVATE = 0o700


def make_private(directory: Path) -> None:
    """Make a folder, with those above it that are missing, for this user alone.

    One that is there already is closed to others, if it is this user's.
    """
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=_PRIVATE, exist_ok=True)  # another process may be faster
    found = directory.stat()
    if found.st_uid == os.getuid() and found.st_mode & 0o077:
        directory.chmod(_PRIVATE)
