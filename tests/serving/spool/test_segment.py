"""Segments: what is written is read back, whatever was cut, taken or full."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from cloche.serving.spool import segment
from cloche.serving.spool.segment import (
    DISK_FULL,
    ERROR,
    SPOOL_FULL,
    NotSpooled,
    SegmentWriter,
    TakenSegment,
    array_cells,
    array_of,
    new_name,
)

HEADER = {"server": "ab", "process": "host", "model": "m", "version": "3"}


def writer(folder: Path, **options: Any) -> SegmentWriter:
    return SegmentWriter(folder, HEADER, **{"spool_bytes": 1 << 30, **options})


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.segment"))


def contents(folder: Path) -> list[int]:
    """What all segments hold, of records that are numbers."""
    found = []
    for place in segments(folder):
        taken = TakenSegment.take(place)
        assert taken is not None
        with taken:
            assert taken.header["model"] == "m"
            found += [requests for requests, _, _ in taken.records()]
    return found


def test_records_are_read_back_with_their_header(tmp_path: Path) -> None:
    """Cells keep their types, and arrays their bytes."""
    out = writer(tmp_path)
    requests = [["id-1", 5, 2, 200, "", "model", "production", "json", 1, 1.0, 7, 8, None]]
    cells = {
        "a": [1, None],
        "b": ["x", "y"],
        "c": [0.1, 1e308],
        "d": array_cells("<f4", b"01234567"),
    }
    out.append(requests, cells, None)
    (place,) = segments(tmp_path)
    assert place.stat().st_mode & 0o777 == 0o600
    taken = TakenSegment.take(place)
    assert taken is not None
    with taken:
        ((read, inputs, outputs),) = taken.records()
        assert taken.cut == 0
        assert taken.header["version"] == "3"
        assert taken.header["started"] > 0
    assert (read, outputs) == (requests, None)
    array = array_of(inputs.pop("d"))
    assert array is not None
    assert (array[0], bytes(array[1])) == ("<f4", b"01234567")
    assert inputs == {key: cells[key] for key in "abc"}
    assert array_of(["<f4", b"01234567"]) is None


def test_a_writer_goes_on_in_another_segment_when_its_own_is_taken(tmp_path: Path) -> None:
    """While it is sealed, and after a sealer has died over it."""
    out = writer(tmp_path)
    out.append(1, None, None)
    taken = TakenSegment.take(segments(tmp_path)[0])
    assert taken is not None
    with taken:
        assert TakenSegment.take(segments(tmp_path)[0]) is None  # another sealer has to leave it
        out.append(2, None, None)
    second = TakenSegment.take(segments(tmp_path)[1])
    assert second is not None
    second.__exit__()
    out.append(3, None, None)
    assert contents(tmp_path) == [1, 2, 3]
    assert len(segments(tmp_path)) == 3


def test_a_segment_that_was_sealed_meanwhile_is_not_sealed_again(tmp_path: Path) -> None:
    """Somebody who opened it before it was removed leaves it."""
    out = writer(tmp_path)
    out.append(1, None, None)
    (place,) = segments(tmp_path)
    taken = TakenSegment.take(place)
    assert taken is not None
    with taken:
        taken.remove()
    assert TakenSegment.take(place) is None


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_cut_end_is_told_and_hides_nothing_before_it(tmp_path: Path, cut: int) -> None:
    """As after a power failure."""
    out = writer(tmp_path)
    out.append(1, None, None)
    out.append(2, None, None)
    (place,) = segments(tmp_path)
    os.truncate(place, place.stat().st_size - cut)
    taken = TakenSegment.take(place)
    assert taken is not None
    with taken:
        assert [one for one, _, _ in taken.records()] == [1]
        assert taken.cut == 12 - cut


def test_a_wrong_byte_ends_the_segment(tmp_path: Path) -> None:
    """A page that never reached the disk reads as zeros."""
    out = writer(tmp_path)
    for one in (1, 2, 3):
        out.append(one, None, None)
    (place,) = segments(tmp_path)
    data = bytearray(place.read_bytes())
    data[-14] ^= 1  # in the second record
    place.write_bytes(data)
    assert contents(tmp_path) == [1]


@pytest.mark.parametrize("size", [0, 5, 20])
def test_a_segment_without_a_whole_header_holds_nothing(tmp_path: Path, size: int) -> None:
    """Its process died with the first record."""
    out = writer(tmp_path)
    out.append(1, None, None)
    (place,) = segments(tmp_path)
    os.truncate(place, size)
    taken = TakenSegment.take(place)
    assert taken is not None
    with taken:
        assert taken.header == {}
        assert list(taken.records()) == []


def test_a_short_write_leaves_no_half_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills in the middle of a record, and has room again."""
    out = writer(tmp_path)
    out.append(1, None, None)
    write = os.write
    monkeypatch.setattr(segment.os, "write", lambda file, data: write(file, data[:7]))
    with pytest.raises(NotSpooled) as full:
        out.append(2, None, None)
    assert full.value.reason == DISK_FULL
    monkeypatch.undo()
    out.append(3, None, None)
    assert contents(tmp_path) == [1, 3]


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOSPC, DISK_FULL), (errno.EDQUOT, DISK_FULL), (errno.EIO, ERROR)]
)
def test_a_disk_that_fails_is_told_by_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    """Also for the first record, with the header."""

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    out = writer(tmp_path)
    monkeypatch.setattr(segment.os, "write", fail)
    with pytest.raises(NotSpooled) as failed:
        out.append(1, None, None)
    assert failed.value.reason == reason
    monkeypatch.undo()
    out.append(2, None, None)
    assert contents(tmp_path) == [2]


def test_a_spool_does_not_grow_beyond_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others wrote counts; when it was sealed there is room again."""
    monkeypatch.setattr(segment, "_MEASURED_EVERY", 0)
    other = writer(tmp_path)
    other.append("x" * 600_000, None, None)
    out = writer(tmp_path, spool_bytes=1_500_000)
    out.append("y" * 600_000, None, None)
    with pytest.raises(NotSpooled, match="--log-spool-size") as full:
        out.append("z" * 600_000, None, None)
    assert full.value.reason == SPOOL_FULL
    segments(tmp_path)[0].unlink()
    out.append("z" * 600_000, None, None)


def test_a_large_segment_is_closed_and_another_begun(tmp_path: Path) -> None:
    """A sealer has one in memory, so their size is bounded."""
    out = writer(tmp_path, segment_bytes=1000)
    for number in range(10):
        out.append(number, {"a": ["x" * 300]}, None)
    assert len(segments(tmp_path)) == 4
    assert contents(tmp_path) == list(range(10))


def test_a_full_segment_is_synced_before_it_is_closed_where_a_caller_syncs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's own call comes too late for it."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda file: synced.append(os.fstat(file).st_size))
    out = writer(tmp_path, segment_bytes=1000, synced=True)
    out.append("x" * 2000, None, None)
    (size,) = synced
    assert size == segments(tmp_path)[0].stat().st_size > 2000


def test_closing_leaves_the_records_and_a_later_append_begins_anew(tmp_path: Path) -> None:
    """Syncing and closing nothing is nothing."""
    out = writer(tmp_path)
    out.sync()
    out.close()
    out.append(1, None, None)
    out.sync()
    out.close()
    out.append(2, None, None)
    assert contents(tmp_path) == [1, 2]


def test_a_killed_process_leaves_every_record_that_it_appended(tmp_path: Path) -> None:
    """Its segment is not locked, and can be sealed at once."""
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from cloche.serving.spool.segment import SegmentWriter\n"
        "out = SegmentWriter(Path(sys.argv[1]), {'model': 'm'}, spool_bytes=1 << 30)\n"
        "for number in range(100): out.append(number, None, None)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, tmp_path], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert contents(tmp_path) == list(range(100))


def test_names_sort_by_time() -> None:
    """They are the digits of UUIDs of version 7."""
    names = [new_name() for _ in range(64)]
    assert [name[:15] for name in names] == sorted(name[:15] for name in names)
    assert len(set(names)) == 64
    read = [UUID(name) for name in names]
    assert {(one.version, one.variant) for one in read} == {(7, "specified in RFC 4122")}
