"""Sealing: every row is at the destination once, whatever happens meanwhile."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from cloche.prediction_log import layout
from cloche.prediction_log.destination import Destination, DestinationFailed
from cloche.prediction_log.erasure import trace
from cloche.serving.sealing import sealer as sealer_module
from cloche.serving.sealing.sealer import Sealer
from cloche.serving.spool.counters import Counters
from tests.serving.sealing.killed_sealer import main as seal_killed
from tests.serving.sealing.spooled import (
    HEADER,
    NOON,
    events,
    request,
    rows_at,
    spool_of,
    writer,
)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def test_a_segment_becomes_a_file_for_each_of_its_days_and_goes(spool: Path, log: Path) -> None:
    """Beside them lie the counts of its process, which has ended."""
    spool_of(spool)
    (segment,) = [place.stem for place in spool.glob("*.segment")]
    (counts,) = [place.stem for place in spool.glob("*.counts")]
    assert Sealer(spool, str(log)).seal() == 1
    days = ("2025-12-01", "2025-12-02", "2025-12-03")
    folder = "model=flight%20delay/date="
    expected = {f"{folder}{day}/7-{segment}.parquet" for day in days}
    assert set(contents(log)) == expected | {f"counts/5e12-{counts}.json"}
    assert sorted(rows_at(log)["request_id"].to_pylist()) == sorted(f"r-{n}" for n in range(40))
    assert list(spool.iterdir()) == []
    assert Sealer(spool, str(log)).seal() == 0


def test_a_sealer_that_is_killed_at_any_change_of_a_file_loses_and_doubles_nothing(
    tmp_path: Path, spool: Path, log: Path
) -> None:
    """What the next sealer leaves is to the byte what one leaves that was not killed."""
    spool_of(spool)
    spool_of(spool, days=1, server="0b0b")
    whole = tmp_path / "whole"
    shutil.copytree(spool, tmp_path / "kept")
    changes = _in_a_fork(lambda: seal_killed(str(spool), str(whole), 0))
    assert changes > 12
    expected = contents(whole)
    assert set(events(rows_at(whole)).values()) == {1}
    for last in range(1, changes + 1):
        for folder in (spool, log):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "kept", spool)
        assert _in_a_fork(lambda last=last: seal_killed(str(spool), str(log), last)) is None
        _in_a_fork(lambda: seal_killed(str(spool), str(log), 0))
        assert contents(log) == expected
        assert list(spool.iterdir()) == []


def _in_a_fork(work: Any) -> int | None:
    """What `work` returns in a fork; None if it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.write(write, str(work()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    _, status = os.waitpid(child, 0)
    with os.fdopen(read) as said:
        text = said.read()
    if os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
        return None
    assert status == 0
    return int(text)


def test_an_open_segment_is_left_until_it_is_old(spool: Path, log: Path) -> None:
    """And its writer goes on in another one."""
    out = writer(spool)
    out.append([request("r1")], None, {"": [1.0]})
    seal = Sealer(spool, str(log)).seal
    assert seal(older_than=3600) == 0
    assert seal() == 1
    out.append([request("r2")], None, {"": [2.0]})
    assert seal() == 1
    assert sorted(rows_at(log)["request_id"].to_pylist()) == ["r1", "r2"]


def test_counts_are_sent_when_the_rows_they_count_are_there(spool: Path, log: Path) -> None:
    """So a check misses nothing that is only on its way."""
    names = {"model": "m", "version": "1", "received_at": NOON}
    counted = Counters(spool, {"server": "5e12", "process": "host"})
    out = writer(spool)
    out.append([request("r1")], None, {"": [1.0]})
    counted.add("logged", 1, **names)
    sealer = Sealer(spool, str(log))
    sealer.seal(older_than=3600)
    assert contents(log) == {}
    out.append([request("r2")], None, {"": [2.0]})
    counted.add("logged", 1, **names)
    out.close()
    sealer.seal(older_than=3600)
    assert _logged(log) == 1  # as it was when the segment was open
    sealer.seal(older_than=3600)
    assert _logged(log) == 2
    counted.close()
    sealer.seal(older_than=3600)
    assert list(spool.iterdir()) == []


def _logged(log: Path) -> int:
    (place,) = (log / "counts").iterdir()
    return sum(one["logged"] for one in json.loads(place.read_text())["counts"])


def test_rows_wait_while_the_destination_is_away_and_are_moved_when_it_is_back(
    spool: Path, log: Path
) -> None:
    """A file stands where its folder should be; then it is gone."""
    spool_of(spool)
    spool_of(spool, server="0b0b")
    log.write_text("in the way")
    sealer = Sealer(spool, str(log))
    for _ in range(2):
        with pytest.raises(DestinationFailed):
            sealer.seal()
    assert len(list(spool.glob("*.segment"))) == 2
    log.unlink()
    assert sealer.seal() == 2
    assert set(events(rows_at(log)).values()) == {1}
    assert len(rows_at(log)) == 80
    assert list(spool.iterdir()) == []


def test_two_sealers_of_one_spool_move_each_row_once(spool: Path, log: Path) -> None:
    """As of two servers on a machine: one finds a segment locked, and leaves it."""
    spool_of(spool)
    first, second = Sealer(spool, str(log)), Sealer(spool, str(log))
    during = []

    def seal_meanwhile(*about: Any) -> None:
        during.append(second.seal())
        sealer_module.seal_predictions(*about)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sealer_module.KINDS, "predictions", seal_meanwhile)
        assert first.seal() == 1
    assert during == [0]
    assert set(events(rows_at(log)).values()) == {1}
    assert list(spool.iterdir()) == []


def test_a_cut_segment_gives_its_whole_records_and_says_so(
    spool: Path, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a crash of the machine leaves it."""
    spool_of(spool)
    (place,) = spool.glob("*.segment")
    place.chmod(0o600)
    os.truncate(place, place.stat().st_size - 5)
    place.chmod(0o400)
    assert Sealer(spool, str(log)).seal() == 1
    assert len(rows_at(log)) == 39
    assert "ends within a record" in caplog.text


def test_a_segment_that_cannot_be_read_stops_no_other(
    spool: Path, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is kept for people, and not tried again."""
    out = writer(spool)
    out.append("no requests", None, None)
    out.close()
    spool_of(spool)
    assert Sealer(spool, str(log)).seal() == 1
    assert len(rows_at(log)) == 40
    (kept,) = spool.iterdir()
    assert kept.suffix == ".unreadable"
    assert "cannot be sealed" in caplog.text
    caplog.clear()
    assert Sealer(spool, str(log)).seal() == 0
    assert caplog.text == ""


def test_rows_of_erased_people_are_left_out_and_counted_in_a_receipt(
    spool: Path, log: Path
) -> None:
    """On a machine whose spool the command did not reach; later rows are logged again."""
    spool_of(spool)
    until = NOON + 86_400_000_000  # of 40 rows in two days the first 21 had come
    receipt = {"erased": {trace("hash-1"): until}}
    Destination.of(str(log)).put(layout.receipt_file("forget-x"), json.dumps(receipt).encode())
    Sealer(spool, str(log)).seal()
    table = rows_at(log)
    numbers = sorted(int(one.removeprefix("r-")) for one in table["request_id"].to_pylist())
    assert numbers == [n for n in range(40) if n % 3 != 1 or n > 20]
    (receipt_path,) = (log / "receipts").glob("sealed-*.json")
    (rows,) = json.loads(receipt_path.read_text())["rows"].values()
    assert sum(n for *_, n in rows) == 7
    assert {tuple(one[:3]) for one in rows} == {("5e12", HEADER["model"], "7")}


def test_somebody_who_is_erased_while_a_segment_is_sealed_is_not_in_its_files(
    spool: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command listed the files before this one was there."""
    spool_of(spool, days=1)
    put = Destination.put

    def erase_after(self: Destination, path: str, content: Any) -> None:
        put(self, path, content)
        if path.endswith(".parquet"):
            receipt = json.dumps({"erased": {trace("hash-1"): 2 * NOON}}).encode()
            put(self, layout.receipt_file("forget-x"), receipt)

    monkeypatch.setattr(Destination, "put", erase_after)
    Sealer(spool, str(log)).seal()
    assert set(rows_at(log)["subject"].to_pylist()) == {"hash-0", "hash-2"}
