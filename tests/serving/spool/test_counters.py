"""Counters that survive their process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloche.serving.spool import counters
from cloche.serving.spool.counters import MICROSECONDS_PER_HOUR, Counters, has_ended, read_counts

HEADER = {"server": "ab", "process": "front"}
NOW = 500_000 * MICROSECONDS_PER_HOUR + 17


def only(folder: Path) -> Path:
    (place,) = folder.glob("*.counts")
    return place


def test_counts_are_read_by_version_and_hour_while_they_grow(tmp_path: Path) -> None:
    """The hour is that of the request, not of the counting."""
    counted = Counters(tmp_path, HEADER)
    counted.add("answered", 3, model="m", version="1", received_at=NOW)
    counted.add("answered", 4, model="m", version="1", received_at=NOW + 5)
    counted.add("dropped: disk full", 2, model="é", version="2", received_at=NOW)
    counted.add("failed", 1, model="m", version="1", received_at=NOW + MICROSECONDS_PER_HOUR)
    place = only(tmp_path)
    assert not has_ended(place)
    read = read_counts(place)
    assert read["server"] == "ab"
    rows = [(one["model"], one["version"], one["hour"]) for one in read["counts"]]
    assert rows == [("m", "1", 500_000), ("é", "2", 500_000), ("m", "1", 500_001)]
    assert [one["answered"] for one in read["counts"]] == [7, 0, 0]
    assert read["counts"][1]["dropped: disk full"] == 2
    assert read["counts"][2]["failed"] == 1
    counted.close()
    assert has_ended(place)
    assert read_counts(place) == read


def test_a_killed_process_leaves_its_counts(tmp_path: Path) -> None:
    """To the last one, and nobody holds the file any more."""
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from cloche.serving.spool.counters import Counters\n"
        "counted = Counters(Path(sys.argv[1]), {})\n"
        "for _ in range(1000):\n"
        f"    counted.add('computed', 1, model='m', version='1', received_at={NOW})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, tmp_path], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert has_ended(only(tmp_path))
    assert [one["computed"] for one in read_counts(only(tmp_path))["counts"]] == [1000]


def test_what_does_not_fit_goes_into_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may live for years."""
    monkeypatch.setattr(counters, "_ROWS", 3)
    monkeypatch.setattr(counters, "_SIZE", counters._START + 3 * counters._ROW.size)
    counted = Counters(tmp_path, HEADER)
    for hour in range(5):
        moment = NOW + hour * MICROSECONDS_PER_HOUR
        counted.add("logged", hour, model="m", version="1", received_at=moment)
    first, second = sorted(tmp_path.glob("*.counts"))
    assert has_ended(first)
    assert not has_ended(second)
    assert [one["logged"] for one in read_counts(first)["counts"]] == [0, 1, 2]
    assert [one["logged"] for one in read_counts(second)["counts"]] == [3, 4]


def test_a_file_without_its_header_counts_nothing(tmp_path: Path) -> None:
    """As a power failure leaves it."""
    place = tmp_path / "a.counts"
    place.write_bytes(b"\0" * 100)
    assert read_counts(place) == {}
    os.truncate(place, 0)
    assert read_counts(place) == {}
