"""Refuses an output that would overwrite the input, or that the next job would read as input.

Local files are compared by device and inode and not by name, so that links, relative paths and the
case of letters make no difference; objects of a store are compared by their names.
"""

import os
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cloche.serving.batch.input import sources
from cloche.serving.errors import SettingsError

_SAME_STORE = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfss": "abfs", "az": "abfs"}


def refuse(
    dest: str, written: Sequence[str], read: Iterable[str], needed: Iterable[str] = ()
) -> None:
    """Refuse an output that overlaps with the input or with other files that must remain.

    Args:
        dest: The name of the output in error messages.
        written: Paths and URIs of all files and folders that the job creates or replaces.
        read: Paths, URIs and globs of the input; a folder stands for all files in it.
        needed: Other paths that must remain: the version's folder, the working directory.

    Raises:
        SettingsError: The output is the input, contains it, lies in it or matches its glob.
    """
    ours = [_lineage(name) for name in written]
    for name in read:
        theirs = _lineage(name)
        if any(mine[0] == theirs[0] for mine in ours):
            raise SettingsError(f"{dest}: this would write over the input {name}. Write elsewhere.")
        if any(mine[0] in theirs for mine in ours):
            raise SettingsError(f"{dest}: the input {name} lies in it. Write elsewhere.")
        if any(theirs[0] in mine for mine in ours) or any(
            sources.matches(_full(one), _full(name)) for one in written
        ):
            raise SettingsError(
                f"{dest}: it lies in the input {name}, and the next job would read it. Write "
                "elsewhere."
            )
    for name in needed:
        if any(mine[0] in _lineage(name) for mine in ours):
            raise SettingsError(f"{dest}: {name} lies in it. Write elsewhere.")


def _lineage(name: str) -> list[Hashable]:
    """Return the identity of a file or folder, followed by those of the folders above it."""
    full = _full(name)
    if full.startswith("/"):
        path = Path(full)
        return [_identity(one) for one in (path, *path.parents)]
    pieces = full.split("/")
    return ["/".join(pieces[:count]) for count in range(len(pieces), 1, -1)]


def _full(name: str) -> str:
    """Return an absolute path without links, or `STORE/BUCKET/KEY` for a URI."""
    scheme, separator, rest = name.partition("://")
    if not separator or scheme in ("file", "local"):
        return os.path.realpath(Path(rest if separator else name).expanduser())
    parts = urlsplit(name)
    store = _SAME_STORE.get(scheme, scheme)
    container, _, host = parts.netloc.rpartition("@")
    bucket = container if container and store == "abfs" else host
    return "/".join([store, bucket, *(one for one in unquote(parts.path).split("/") if one)])


def _identity(path: Path) -> Hashable:
    try:
        found = path.stat()
    except OSError:
        return str(path)
    return found.st_dev, found.st_ino
