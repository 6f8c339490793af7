"""Refuses an output that would replace what the job reads, or be read by the next job.

Files of this machine are compared by what they are and not by their names, so that links, relative
paths and the case of letters make no difference; objects of a store are compared by their names.
"""

import os
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cloche.serving.batch.input import sources
from cloche.serving.errors import SettingsError

_SAME_STORE = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfss": "abfs", "az": "abfs"}


def refuse(
    told: str, written: Sequence[str], read: Iterable[str], needed: Iterable[str] = ()
) -> None:
    """Refuse to write over what is read.

    Args:
        told: The output, for people.
        written: Paths and URIs of all files and folders that the job makes or replaces.
        read: Those of the input; folders and globs stand for all that is in them.
        needed: What must outlive the job besides: the version's folder, the working directory.

    Raises:
        SettingsError: The output is the input, contains it, lies in it or matches it.
    """
    ours = [_lineage(name) for name in written]
    for name in read:
        theirs = _lineage(name)
        if any(mine[0] == theirs[0] for mine in ours):
            raise SettingsError(f"{told}: this would write over the input {name}. Write elsewhere.")
        if any(mine[0] in theirs for mine in ours):
            raise SettingsError(f"{told}: the input {name} lies in it. Write elsewhere.")
        if any(theirs[0] in mine for mine in ours) or any(
            sources.matches(_full(one), _full(name)) for one in written
        ):
            raise SettingsError(
                f"{told}: it lies in the input {name}, and the next job would read it. Write "
                "elsewhere."
            )
    for name in needed:
        if any(mine[0] in _lineage(name) for mine in ours):
            raise SettingsError(f"{told}: {name} lies in it. Write elsewhere.")


def _lineage(name: str) -> list[Hashable]:
    """What a file or folder is, and then each folder above it."""
    full = _full(name)
    if full.startswith("/"):
        path = Path(full)
        return [_identity(one) for one in (path, *path.parents)]
    pieces = full.split("/")
    return ["/".join(pieces[:count]) for count in range(len(pieces), 1, -1)]


def _full(name: str) -> str:
    """A path from the root on without links, or a store, a bucket and a key."""
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
