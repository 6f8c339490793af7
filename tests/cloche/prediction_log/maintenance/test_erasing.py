"""Erasing a person: nothing of them is left in any file, and nothing of others is lost."""

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloche.prediction_log import layout
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.label_columns import QUARANTINED
from cloche.prediction_log.maintenance.check import check
from cloche.prediction_log.maintenance.compaction import compact
from cloche.prediction_log.maintenance.erasing import forget
from cloche.values.keyed_hashes import derived_key, keyed_hash
from tests.cloche.prediction_log.logged import NOON_HOUR, ids, put, put_labels, read

SECRET = b"0123456789abcdef"


def hashed(person: str, model: str = "m") -> str:
    return str(keyed_hash(derived_key(SECRET, model), person))


@pytest.fixture
def log(tmp_path: Path) -> Destination:
    """Ann and Bob in two models, with labels by both kinds of key, and one in quarantine."""
    log = Destination.of(str(tmp_path / "log"))
    for model in ("m", "n"):
        people = [hashed(name, model) for name in ("ann", "bob", "ann", "bob")] + [None]
        for segment in ("s0", "s1"):
            secret = [f"{segment}-of-{name}" for name in ("ann", "bob", "ann", "bob", "nobody")]
            names = [f"ticket-{one}" for one in secret]
            put(log, segment, 5, model, subject=people, i_note=secret, prediction_id=names)
        keys = [("prediction_id", f"ticket-s0-of-{name}") for name in ("ann", "bob")]
        put_labels(log, "l0", [*keys, ("request_id", "s1-0"), ("request_id", "s1-1")], model)
    unknown = [{"key_kind": "prediction_id", "key": "ticket-s1-of-ann", "row": 0, "label": "1",
                "retracted": False, "arrived_at": 0, "revision": 1, "source": "t",
                "reason": "late"}]  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(unknown, QUARANTINED), sink)
    log.put(f"{layout.quarantine_folder('m')}/q.parquet", sink.getvalue())
    return log


def everything(log: Destination) -> str:
    """All that is in the files, as text."""
    found = []
    for file in log.files():
        content = log.read(file.path) or b""
        if file.path.endswith(".parquet"):
            found.append(str(pq.read_table(pa.BufferReader(content)).to_pylist()))
        else:
            found.append(content.decode())
    return "\n".join(found)


def test_a_person_is_found_nowhere_and_all_others_are_where_they_were(log: Destination) -> None:
    """Inputs, ids, hashes and labels are gone; a receipt says of which files."""
    before = everything(log)
    assert "of-ann" in before
    assert hashed("ann", "n") in before
    sealed = []
    path, receipt = forget(log, "ann", SECRET, lambda: sealed.append(1))
    assert sealed == [1]
    after = everything(log)
    for trace in ("ann", hashed("ann"), hashed("ann", "n"), "'s1-0'", "'s1-2'"):
        assert trace not in after
    assert ids(read(log, "n")) == ids(read(log)) == ["s0-1", "s0-3", "s0-4", "s1-1", "s1-3", "s1-4"]
    assert after.count("of-bob") == before.count("of-bob")
    labels = pq.read_table(pa.BufferReader(log.read(log.files("labels/model=m")[0].path)))
    assert labels["key"].to_pylist() == ["ticket-s0-of-bob", "s1-1"]
    assert log.files("quarantine") == []  # the only label in the file was Ann's
    assert json.loads(log.read(path) or b"") == json.loads(receipt.to_json())
    assert sum(receipt.files.values()) == 8 + 4 + 1
    assert receipt.files["quarantine/model=m/q.parquet"] == 1


def test_erasing_again_changes_nothing_but_the_moment(log: Destination) -> None:
    """The receipt keeps what was erased the first time."""
    path, first = forget(log, "ann", SECRET, lambda: None)
    files = {file.path: log.read(file.path) for file in log.files(suffix=".parquet")}
    again, second = forget(log, "ann", SECRET, lambda: None)
    assert (again, second.files, second.rows) == (path, first.files, first.rows)
    assert {file.path: log.read(file.path) for file in log.files(suffix=".parquet")} == files


def test_somebody_who_was_never_there_takes_nothing_away(log: Destination) -> None:
    """Another secret finds nobody, too."""
    before = {file.path: log.read(file.path) for file in log.files()}
    for person, secret in (("zoe", SECRET), ("ann", b"another secret..")):
        _, receipt = forget(log, person, secret, lambda: None)
        assert receipt.files == {}
    after = {file.path: log.read(file.path) for file in log.files()}
    assert {path: after[path] for path in before} == before


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def test_an_erasure_that_is_killed_at_any_write_is_ended_by_the_next(
    tmp_path: Path, log: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels too, though only the predictions tell which labels are the person's."""
    put_file = Destination.put
    kept = {file.path: log.read(file.path) or b"" for file in log.files()}
    monkeypatch.setattr("cloche.prediction_log.maintenance.lock._lives", lambda *_: False)
    for last in range(1, 9):
        fresh = Destination.of(str(tmp_path / f"killed-{last}"))
        for path, content in kept.items():
            fresh.put(path, content)
        writes = 0

        def count(self: Destination, path: str, content: bytes) -> None:
            nonlocal writes
            writes += 1
            if writes >= last:  # noqa: B023  # called within this turn of the loop
                raise Killed
            put_file(self, path, content)

        with monkeypatch.context() as patch:
            patch.setattr(Destination, "put", count)
            with pytest.raises(Killed):
                forget(fresh, "ann", SECRET, lambda: None)
        _, receipt = forget(fresh, "ann", SECRET, lambda: None)
        assert "ann" not in everything(fresh)
        assert everything(fresh).count("of-bob") == everything(log).count("of-bob")
        assert sum(n for rows in receipt.rows.values() for *_, n in rows) == 8


def test_a_compacted_file_still_replaces_what_it_replaced(log: Destination) -> None:
    """A file that a killed sealer puts again does not bring anybody back."""
    old = {file.path: log.read(file.path) or b"" for file in log.files("model=m")}
    compact(log, ["m"], date(2025, 12, 2))
    forget(log, "ann", SECRET, lambda: None)
    for path, content in old.items():
        log.put(path, content)
    assert hashed("ann") not in str(read(log).to_pylist())
    assert len(read(log)) == 6
    forget(log, "ann", SECRET, lambda: None)
    assert "ann" not in everything(log)


def test_what_was_erased_is_not_missed(log: Destination) -> None:
    """The receipt says how many rows of which hour."""
    counts = {"model": "m", "version": "7", "hour": NOON_HOUR, "answered": 10, "failed": 0,
              "computed": 10, "logged": 10, "sampled_out": 0}  # fmt: skip
    log.put("counts/5e12-a.json", json.dumps({"server": "5e12", "counts": [counts]}).encode())
    assert check(log, "m", None).adds_up
    forget(log, "ann", SECRET, lambda: None)
    report = check(log, "m", None)
    assert report.adds_up
    assert [sums.erased for sums in report.sums.values()] == [4]
