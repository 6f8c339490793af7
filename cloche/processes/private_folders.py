"""Folders that only their owner may enter: their files may be secret, or are executed."""

import os
from pathlib import Path

_PRIVATE = 0o700


def make_private(directory: Path) -> None:
    """Create a folder and its missing parents, accessible to this user alone.

    An existing folder is closed to other users if this user owns it.
    """
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=_PRIVATE, exist_ok=True)  # another process may create it first
    found = directory.stat()
    if found.st_uid == os.getuid() and found.st_mode & 0o077:
        directory.chmod(_PRIVATE)
