"""Segments of the prediction log: how records are appended to the local disk, and taken from it.

A segment is the magic line, then records: a length and a CRC-32, 4 bytes each, then MessagePack.
The first record is the header. A writer locks its segment for each append only, and a sealer for
as long as it works: whoever seals may take any segment at any time, and a writer that meets a
segment which was taken begins another one and waits for nothing. The user's right to write, in the
mode of the file, says whether a segment is open for appends.
"""

import errno
import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from cloche.processes.private_folders import make_private
from cloche.serving.spool.msgpack import Ext, encode, msgspec

MAGIC = b"CLOCHE-LOG-1\n"
SEGMENT_BYTES = 64 << 20  # a sealer has a whole segment in memory
SPOOL_FULL, DISK_FULL, ERROR = "spool full", "disk full", "error"

_FRAME = struct.Struct("!II")
_OPEN, _CLOSED = 0o600, 0o400
_ARRAY = 1  # the code of a numpy array among MessagePack's extensions
_MEASURED_EVERY = 1.0  # seconds between two measurements of the spool's size
_MEASURED_BYTES = 1 << 20  # so many bytes of one writer are measured at once, too
_FULL = (errno.ENOSPC, errno.EDQUOT)


class NotSpooled(Exception):
    """A record could not be written, and nothing of it is in the spool.

    Attributes:
        reason: The reason as it is counted: `SPOOL_FULL`, `DISK_FULL` or `ERROR`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def array_cells(dtype: str, data: bytes | memoryview) -> Any:
    """Return what stands for a column in a record that is a numpy array.

    Args:
        dtype: The type, as numpy's `dtype.str` gives it.
        data: The bytes of the array in C order. The number of the rows is the record's; more
            items than rows are as many items in each row.
    """
    return Ext(_ARRAY, dtype.encode() + b"\0" + data)


def array_of(cells: Any) -> tuple[str, memoryview] | None:
    """Return the type and the bytes of a column that is a numpy array; None for a list of cells."""
    if not isinstance(cells, Ext) or cells.code != _ARRAY:
        return None
    data = memoryview(cells.data)
    end = bytes(data[:32]).index(b"\0")
    return bytes(data[:end]).decode(), data[end + 1 :]


def new_name() -> str:
    """Return the hex digits of a new UUIDv7, which sort by time (RFC 9562, 6.2, method 3)."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8))
    return f"{milliseconds:012x}7{fraction:03x}{8 | random >> 62:x}{random & (1 << 60) - 1:015x}"


class SegmentWriter:
    """The segments that one process writes about one version, one after the other."""

    def __init__(
        self, folder: Path, header: Mapping[str, Any], *, spool_bytes: int,
        segment_bytes: int = SEGMENT_BYTES, synced: bool = False,
    ) -> None:  # fmt: skip
        """Write nothing yet: a segment begins with its first record.

        Args:
            folder: The folder of the spool, for one destination.
            header: The header of each segment; `started` is set for each anew.
            spool_bytes: How large the spool may become, with what all processes write.
            segment_bytes: The size at which a segment is closed.
            synced: Whether a full segment is on the disk before it is closed, for callers that
                `sync` what they have appended.
        """
        self._folder, self._header = folder, dict(header)
        self._synced = synced
        self._spool_bytes, self._segment_bytes = spool_bytes, segment_bytes
        self._file = -1
        self._end = 0
        self._named = False  # whether the name of the segment is on the disk
        self._spooled = 0
        self._measured_at = -_MEASURED_EVERY
        self._since_measured = 0

    def append(self, requests: Any, inputs: Any, outputs: Any) -> None:
        """Append a record, whole and in one call of the system, or nothing of it.

        Raises:
            NotSpooled: The spool or the disk is full, or the disk fails.
        """
        record = _framed(encode((requests, inputs, outputs)))
        self._require_room(len(record))
        try:
            if not self._lock_open_segment():
                self._begin()
            if not self._end:
                record = MAGIC + _framed(encode(self._header)) + record
            self._write(record)
        except OSError as error:
            reason = DISK_FULL if error.errno in _FULL else ERROR
            raise NotSpooled(reason, f"{self._folder}: {error}") from error
        if self._end >= self._segment_bytes:
            if self._synced:
                self.sync()
            self.close()

    def sync(self) -> None:
        """Wait until everything that was appended to the open segment is on the disk.

        Raises:
            NotSpooled: The disk fails; what was appended may not be there after a power failure.
        """
        if self._file < 0:
            return
        try:
            os.fdatasync(self._file)
            if not self._named:
                directory = os.open(self._folder, os.O_RDONLY)
                try:
                    os.fsync(directory)
                finally:
                    os.close(directory)
                self._named = True
        except OSError as error:
            raise NotSpooled(ERROR, f"{self._folder}: {error}") from error

    def close(self) -> None:
        """Close the segment; a later append begins another."""
        if self._file < 0:
            return
        with suppress(OSError):
            os.fchmod(self._file, _CLOSED)
        self._abandon()

    def _lock_open_segment(self) -> bool:
        """Lock the segment for one append; False if there is none or a sealer has taken it."""
        if self._file < 0:
            return False
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._abandon()
            return False
        if os.fstat(self._file).st_mode & 0o200:
            return True
        self._abandon()
        return False

    def _begin(self) -> None:
        """Make a segment, and lock it for its first append."""
        make_private(self._folder)
        self._header["started"] = time.time_ns() // 1000
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        locked = False
        while not locked:  # a sealer may take a segment before its first record
            self._file = os.open(self._folder / f"{new_name()}.segment", flags, _OPEN)
            self._end, self._named = 0, False
            locked = self._lock_open_segment()

    def _write(self, record: bytes) -> None:
        """Write to the locked segment, and unlock it."""
        try:
            if os.write(self._file, record) != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301
            self._end += len(record)
            self._since_measured += len(record)
        except OSError:
            try:
                os.ftruncate(self._file, self._end)  # a torn record would hide later ones
            except OSError:
                self._abandon()
            raise
        finally:
            if self._file >= 0:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _require_room(self, size: int) -> None:
        now = time.monotonic()
        if (
            now - self._measured_at >= _MEASURED_EVERY
            or self._since_measured + size > _MEASURED_BYTES
        ):
            self._spooled, self._since_measured = spool_size(self._folder), 0
            self._measured_at = now
        if self._spooled + self._since_measured + size > self._spool_bytes:
            raise NotSpooled(
                SPOOL_FULL,
                f"{self._folder}: the spool holds {self._spooled >> 20} MiB and may hold "
                f"{self._spool_bytes >> 20}. Look at why nothing is sealed (the log of the "
                "server says it), or give a larger --log-spool-size.",
            )

    def _abandon(self) -> None:
        os.close(self._file)
        self._file = -1


class TakenSegment:
    """A segment that this process alone may seal, until the context is left.

    Attributes:
        name: The name, hex digits.
        header: The header; empty if the segment ends within it.
        cut: How many bytes at the end are no whole record; None until `records` has ended.
    """

    def __init__(self, place: Path, file: int) -> None:
        self.name = place.name.removesuffix(".segment")
        self.header: dict[str, Any] = {}
        self.cut: int | None = None
        self._place, self._file = place, file
        with os.fdopen(os.dup(file), "rb") as opened:
            opened.seek(0)
            self._data = memoryview(opened.read())
        self._frames = _frames(self._data)
        self._end, header = next(self._frames, (0, None))
        if header is not None:
            self.header = msgspec.msgpack.decode(header)

    @classmethod
    def take(cls, place: Path) -> Self | None:
        """Close a segment for appends and lock it; None if another process seals it or has."""
        try:
            file = os.open(place, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:  # else removed between opening and locking
                os.fchmod(file, _CLOSED)
                return cls(place, file)
        except BlockingIOError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        return None

    def records(self) -> Iterator[list[Any]]:
        """Iterate over the whole records: requests, inputs and outputs of each."""
        decode = msgspec.msgpack.Decoder(list[Any]).decode
        for end, record in self._frames:
            self._end = end
            yield decode(record)
        self.cut = len(self._data) - self._end

    def remove(self) -> None:
        """Remove the segment from the spool."""
        self._place.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def spool_size(folder: Path) -> int:
    """Return how many bytes of segments a spool holds."""
    size = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".segment"):
                with suppress(FileNotFoundError):
                    size += entry.stat().st_size
    return size


def _framed(content: bytes) -> bytes:
    return _FRAME.pack(len(content), zlib.crc32(content)) + content


def _frames(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Iterate over whole records, each with the offset of its end."""
    place = len(MAGIC)
    if data[:place] != MAGIC:
        return
    while place + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, place)
        record = data[place + _FRAME.size : place + _FRAME.size + length]
        if len(record) != length or zlib.crc32(record) != checksum:
            return
        place += _FRAME.size + length
        yield place, record
