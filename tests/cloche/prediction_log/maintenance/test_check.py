"""A log adds up, or the check names what is missing."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cloche.prediction_log import layout
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.maintenance.check import Key, check
from cloche.prediction_log.maintenance.pruning import prune
from tests.cloche.prediction_log.logged import HOUR, NOON, NOON_HOUR, ids, put, read


@pytest.fixture
def log(tmp_path: Path) -> Destination:
    return Destination.of(str(tmp_path))


def count(log: Destination, process: str, *, hour: int = NOON_HOUR, **counted: int) -> None:
    """Put what a process of the server counted."""
    names = {"server": "5e12", "model": "m", "version": "7"}
    row: dict[str, Any] = {"model": names["model"], "version": names["version"], "hour": hour}
    row |= dict.fromkeys(("answered", "failed", "computed", "logged", "sampled_out"), 0)
    document = {"server": names["server"], "counts": [row | counted]}
    log.put(layout.counts_file(names["server"], process), json.dumps(document).encode())


def test_what_was_answered_is_in_the_files_or_sampled_out_or_dropped(log: Destination) -> None:
    """Each reason is named."""
    put(log, "s0", 7)
    put(log, "s1", 1, status=429)
    count(log, "front", answered=12, failed=1, computed=1, logged=1)
    dropped = {"dropped: disk full": 2, "dropped: spool full": 0}
    count(log, "host", computed=12, logged=7, sampled_out=3, **dropped)
    report = check(log, None, None)
    (sums,) = report.sums.values()
    assert (report.adds_up, sums.in_files, sums.failures) == (True, 8, 1)
    assert sums.dropped == {"disk full": 2}
    assert sums.undelivered == 0


def test_rows_that_are_missing_are_named_by_server_and_hour_and_number(log: Destination) -> None:
    """As after a crash of the machine that lost the end of a segment."""
    put(log, "s0", 5)
    put(log, "s1", 5, begin=NOON + HOUR)
    count(log, "front", answered=8, computed=0)
    count(log, "host", computed=8, logged=8)
    count(log, "later", hour=NOON_HOUR + 1, answered=5, computed=5, logged=5)
    report = check(log, None, None)
    key = Key("m", "7", NOON_HOUR, "5e12")
    assert report.gaps == {key: 3}
    assert key.shown() == "m version 7, 2025-12-01 12:00 UTC, server 5e12"


def test_answers_that_no_host_counted_are_missing(log: Destination) -> None:
    """The counters of a host lay on a disk that is gone."""
    put(log, "s0", 4)
    count(log, "front", answered=6)
    assert list(check(log, None, None).gaps.values()) == [2]


def test_rows_that_were_written_and_not_yet_counted_are_not_missed(log: Destination) -> None:
    """A process that is killed between the two has written first."""
    put(log, "s0", 6)
    count(log, "front", answered=6)
    count(log, "host", computed=4, logged=4)
    assert check(log, None, None).adds_up


def test_requests_that_were_tried_again_and_shadows_are_told_apart(log: Destination) -> None:
    """Their rows were computed, and went to no caller."""
    put(log, "s0", 4, request_id=["a", "b", "c", "d"])
    put(log, "s1", 2, request_id=["b", "c"], attempt=2)
    put(log, "s2", 3, arm="shadow")
    count(log, "front", answered=4)
    count(log, "host", computed=9, logged=9)
    report = check(log, None, None)
    (sums,) = report.sums.values()
    assert (report.adds_up, sums.repeated, sums.shadow, sums.undelivered) == (True, 2, 3, 5)


def test_a_segment_that_is_there_twice_is_told(log: Destination) -> None:
    """Nothing of Cloche leaves one so; a copy by hand may."""
    put(log, "s0", 4)
    (file,) = log.files("model=m")
    log.put(file.path.replace("s0", "copy"), log.read(file.path) or b"")
    report = check(log, None, None)
    assert not report.adds_up
    assert len(report.doubled) == 1


def test_days_before_the_first_are_not_added_up(log: Destination) -> None:
    """Neither are those of other models."""
    put(log, "s0", 4)
    count(log, "front", answered=6)
    assert check(log, None, date(2025, 12, 2)).sums == {}
    assert check(log, "other", None).sums == {}
    assert check(log, "m", date(2025, 12, 1)).gaps


def test_pruned_days_are_gone_and_not_missed(log: Destination) -> None:
    """Again is nothing; and a model can be pruned alone."""
    put(log, "s0", 4)
    put(log, "s1", 4, begin=NOON + 48 * HOUR)
    put(log, "s0", 4, "other")
    count(log, "front", answered=4, computed=4, logged=4)
    day = date(2025, 12, 3)
    assert prune(log, "m", day) == 1
    assert ids(read(log)) == [f"s1-{n}" for n in range(4)]
    assert check(log, "m", None).adds_up
    assert prune(log, "m", day) == 0
    assert len(ids(read(log, "other"))) == 4
    assert prune(log, None, day) == 2  # and the counts, which are older
    assert ids(read(log, "other")) == []
    assert check(log, None, None).adds_up
