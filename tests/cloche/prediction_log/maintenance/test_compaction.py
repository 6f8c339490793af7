"""Compaction: the same rows in fewer files, whoever is killed and whatever comes back."""

import os
from datetime import date
from pathlib import Path

import pytest

from cloche.prediction_log import layout
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.errors import LogError
from cloche.prediction_log.files import prediction_files
from cloche.prediction_log.maintenance import compaction
from cloche.prediction_log.maintenance.compaction import compact
from cloche.prediction_log.maintenance.lock import exclusive
from tests.cloche.prediction_log.logged import HOUR, NOON, ids, put, read

DAY = date(2025, 12, 2)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture
def log(tmp_path: Path) -> Destination:
    return Destination.of(str(tmp_path))


def names(log: Destination) -> list[str]:
    return [file.path.rpartition("/")[2] for file in prediction_files(log, "m")]


def test_a_day_of_a_version_becomes_one_file_with_its_rows_in_order(log: Destination) -> None:
    """Other versions, and days that have not ended, stay as they are."""
    for number in range(4):
        put(log, f"s{number}", 5, begin=NOON - number * HOUR, o_=float(number))
    put(log, "other", 2, version="8")
    put(log, "today", 2, begin=NOON + 24 * HOUR)
    put(log, "later", 2, begin=NOON + 24 * HOUR)
    before = read(log)
    assert compact(log, ["m"], DAY) == (4, 1)
    after = read(log)
    assert ids(after) == ids(before)
    assert len(names(log)) == 4
    (compacted,) = [name for name in names(log) if layout.is_compacted(name)]
    first = after.filter([name == compacted for name in [compacted] * 20 + [""] * 6])
    assert first["received_at"].to_pylist() == sorted(first["received_at"].to_pylist())
    assert compact(log, ["m"], DAY) == (0, 0)


def test_new_files_are_put_to_a_compacted_one_and_what_it_replaced_stays_replaced(
    log: Destination,
) -> None:
    """A sealer that died before it removed its segment puts the file again, after both."""
    for number in range(2):
        put(log, f"s{number}", 3)
    compact(log, ["m"], DAY)
    put(log, "s2", 3)
    assert compact(log, ["m"], DAY) == (2, 1)
    whole = ids(read(log))
    put(log, "s0", 3)
    assert ids(read(log)) == whole
    compact(log, ["m"], DAY)
    assert ids(read(log)) == whole
    assert len(log.files(suffix=".parquet")) == 1


def test_a_compaction_that_is_killed_at_any_write_changes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers get each row once, then and after the next compaction."""
    put_file, remove_file = Destination.put, Destination.remove
    for last in range(1, 9):
        log = Destination.of(str(tmp_path / str(last)))
        for number in range(5):
            put(log, f"s{number}", 3)
        expected, writes = ids(read(log)), 0

        def count() -> None:
            nonlocal writes
            writes += 1
            if writes >= last:  # noqa: B023  # called within this turn of the loop
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(Destination, "put", lambda *a: (count(), put_file(*a)))
            patch.setattr(Destination, "remove", lambda *a: (count(), remove_file(*a)))
            patch.setattr("cloche.prediction_log.maintenance.lock._lives", lambda *_: False)
            with pytest.raises(Killed):
                compact(log, ["m"], DAY)
        assert ids(read(log)) == expected
        monkeypatch.setattr("cloche.prediction_log.maintenance.lock._lives", lambda *_: False)
        compact(log, ["m"], DAY)
        assert ids(read(log)) == expected
        assert len(log.files("model=m")) == 1


def test_files_whose_columns_have_other_types_stay_apart(log: Destination) -> None:
    """Nothing is cast: new columns alone are filled with nulls."""
    put(log, "s0", 2, o_=[1, 2])
    put(log, "s1", 2, o_=["x", "y"])
    put(log, "s2", 2, o_=[3, 4], i_new=[0.5, None])
    put(log, "s3", 2, o_=["z", None])
    assert compact(log, ["m"], DAY) == (4, 2)
    assert len(names(log)) == 2


def test_a_file_stays_small_enough_to_be_read_whole(
    log: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several compacted files of a day are fine; full ones are not read again."""
    monkeypatch.setattr(compaction, "_MOST_ROWS", 10)
    for number in range(5):
        put(log, f"s{number}", 5)
    assert compact(log, ["m"], DAY) == (4, 2)
    assert compact(log, ["m"], DAY) == (0, 0)
    assert len(ids(read(log))) == 25


def test_two_do_not_rewrite_files_at_a_time(log: Destination) -> None:
    """The message names the file to remove if the other one was killed."""
    log.put("maintenance/other.json", b'{"host": "elsewhere", "pid": 1, "since": 9999999999}')
    with pytest.raises(LogError, match=r"process 1 on elsewhere rewrites .* remove that file"):
        compact(log, ["m"], DAY)
    assert [file.path for file in log.files("maintenance")] == ["maintenance/other.json"]
    log.put("maintenance/other.json", b'{"host": "elsewhere", "pid": 1, "since": 5}')  # long ago
    compact(log, ["m"], DAY)
    assert log.read("maintenance/other.json") is None


def test_who_has_the_lock_keeps_it_while_another_asks(log: Destination) -> None:
    """Whoever asks leaves no trace."""
    with exclusive(log):
        with pytest.raises(LogError, match=f"process {os.getpid()} on"):
            compact(log, ["m"], DAY)
        assert len(log.files("maintenance")) == 1
    assert not log.files("maintenance")
