"""Counters of the prediction log that a killed process leaves behind, in a mapped file.

The file is one line of JSON about its process, a list of versions as lines of JSON, and rows of
8-byte integers: an hour, a version, and the counts. A writer holds the lock of its file for its
life, so whoever gets the lock knows that the process has ended and its counts are final.
"""

import fcntl
import json
import mmap
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloche.processes.private_folders import make_private
from cloche.serving.spool.segment import DISK_FULL, ERROR, SPOOL_FULL, new_name

MICROSECONDS_PER_HOUR = 3_600_000_000
# What is counted, in rows. A front counts the rows it answered and the requests that failed; all
# count the rows of the log: computed = logged + sampled out + dropped, for each reason.
COUNTS = (
    "answered", "failed", "computed", "logged", "sampled_out",
    f"dropped: {SPOOL_FULL}", f"dropped: {DISK_FULL}", f"dropped: {ERROR}",
)  # fmt: skip

_MAGIC = b"CLOCHE-COUNTS-1\n"
_HEADER = 4096
_VERSIONS = 60 << 10  # where the list of versions ends, and the rows begin after
_ROW = struct.Struct(f"=2q{len(COUNTS)}q")
_COUNT = struct.Struct("=q")
_ROWS = 4096  # hours times versions; a process that needs more begins another file
_START = _HEADER + _VERSIONS
_SIZE = _START + _ROW.size * _ROWS


class Counters:
    """The counters of one process, by version and hour (UTC) at which requests were received."""

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        """Make the file.

        Args:
            folder: The folder of the spool.
            header: What is known of the process: its server's id, and which process it is.

        Raises:
            OSError: The file cannot be made.
        """
        self._folder, self._header = folder, json.dumps(dict(header)).encode()
        self._begin()

    def add(self, what: str, rows: int, *, model: str, version: str, received_at: int) -> None:
        """Add to one count; `received_at` is in microseconds since 1970.

        Raises:
            OSError: Another file was needed, and cannot be made.
        """
        key = (received_at // MICROSECONDS_PER_HOUR, model, version)
        place = self._places.get(key)
        if place is None:
            place = self._slot(*key)
        place += _COUNT.size * (2 + COUNTS.index(what))
        (before,) = _COUNT.unpack_from(self._mapped, place)
        _COUNT.pack_into(self._mapped, place, before + rows)

    def close(self) -> None:
        """End counting; the file stays for the sealing process."""
        self._mapped.close()
        os.close(self._file)

    def _begin(self) -> None:
        make_private(self._folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        name = f"{new_name()}.counts"
        place = self._folder / f".{name}"  # the name that is read comes with the lock
        self._file = os.open(place, flags, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            os.posix_fallocate(self._file, 0, _SIZE)  # a full disk would kill who writes to a hole
            self._mapped = mmap.mmap(self._file, _SIZE)
        except OSError:
            place.unlink(missing_ok=True)
            os.close(self._file)
            raise
        head = _MAGIC + self._header + b"\n"
        self._mapped[: len(head)] = head
        place.rename(self._folder / name)
        self._places: dict[tuple[int, str, str], int] = {}
        self._versions: dict[tuple[str, str], int] = {}
        self._end_of_versions = _HEADER

    def _slot(self, hour: int, model: str, version: str) -> int:
        """Begin a row, and return where it is."""
        line = json.dumps([model, version]).encode() + b"\n"
        known = (model, version) in self._versions
        if len(self._places) == _ROWS or (not known and self._end_of_versions + len(line) > _START):
            self.close()
            self._begin()
            known = False
        if not known:
            end = self._end_of_versions + len(line)
            self._mapped[self._end_of_versions : end] = line
            self._end_of_versions = end
            self._versions[model, version] = len(self._versions)
        place = _START + _ROW.size * len(self._places)
        # the hour comes last: a row without one is not read
        _COUNT.pack_into(self._mapped, place + _COUNT.size, self._versions[model, version])
        _COUNT.pack_into(self._mapped, place, hour)
        self._places[hour, model, version] = place
        return place


def read_counts(place: Path) -> dict[str, Any]:
    """Read a file of counters, whether or not its process still counts.

    Returns:
        The header, and under `counts` a list of objects: `model`, `version`, `hour` (hours since
        1970, UTC), and each of `COUNTS`. Empty if the process ended before it wrote a header.
    """
    data = place.read_bytes()
    head, newline, _ = data[:_HEADER].partition(b"\0")[0].removeprefix(_MAGIC).partition(b"\n")
    if not data.startswith(_MAGIC) or not newline or len(data) < _SIZE:
        return {}
    lines = data[_HEADER:_START].partition(b"\0")[0].split(b"\n")[:-1]
    versions = [json.loads(line) for line in lines]
    counts = []
    for hour, version, *values in _ROW.iter_unpack(data[_START:_SIZE]):
        if hour and version < len(versions):
            model, number = versions[version]
            found = dict(zip(COUNTS, values, strict=True))
            counts.append({"model": model, "version": number, "hour": hour, **found})
    return {**json.loads(head), "counts": counts}


def has_ended(place: Path) -> bool:
    """Tell whether the process that counts in a file has ended, so that its counts are final."""
    with suppress(OSError):
        file = os.open(place, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(file)
        return True
    return False
