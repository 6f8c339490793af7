"""Late, corrected, doubled, orphaned and taken back labels change what they should, and no more."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from cloche.prediction_log.destination import Destination
from cloche.prediction_log.errors import LabelMistakes
from cloche.prediction_log.label_table import LabelColumns, label_table
from cloche.prediction_log.labels import AddedLabels, add_labels
from tests.cloche.prediction_log.conftest import DAY, MODEL, MONDAY


def test_a_late_label_joins_its_prediction_and_no_other(log):
    log.write("a", "b")
    assert log.add({"a": 1}, MONDAY + 3 * DAY) == AddedLabels(added=1)
    assert log.read() == {"a": "1", "b": None}


def test_a_corrected_label_counts_from_its_arrival_on(log):
    log.write("a", "b")
    log.add({"a": 1, "b": 0}, MONDAY + DAY)
    assert log.add({"a": 0, "b": 0}, MONDAY + 2 * DAY) == AddedLabels(revised=1, unchanged=1)
    assert log.read() == {"a": "0", "b": "0"}
    assert log.read(as_of=MONDAY + DAY) == {"a": "1", "b": "0"}


def test_a_label_that_is_taken_back_is_none_until_another_comes(log):
    log.write("a", "b")
    log.add({"a": 1, "b": 1}, MONDAY + DAY)
    assert log.add({"a": 1}, MONDAY + 2 * DAY, retract=True) == AddedLabels(retracted=1)
    assert log.add({"a": 1, "b": 1}, MONDAY + 3 * DAY, retract=True).unchanged == 1
    assert log.labelled == {}
    assert log.add({"a": 0}, MONDAY + 4 * DAY) == AddedLabels(added=1)
    assert log.labelled == {"a": "0"}
    assert log.read(as_of=MONDAY + DAY) == {"a": "1", "b": "1"}


def test_the_same_labels_again_write_nothing_in_whichever_order(log):
    log.write("a", "b")
    log.add({"a": 1, "b": 0}, MONDAY)
    log.add({"a": 0}, MONDAY + DAY)
    before = log.paths()
    again = log.add({"b": 0, "a": 1}, MONDAY + 2 * DAY)
    assert again == AddedLabels(before=MONDAY.date())
    assert log.paths() == before
    assert log.labelled == {"a": "0", "b": "0"}


def test_a_growing_export_writes_only_what_is_new(log):
    log.write("a", "b")
    log.add({"a": 1}, MONDAY)
    assert log.add({"a": 1.0, "b": 0.0}, MONDAY + DAY) == AddedLabels(added=1, unchanged=1)
    tables = [log.destination.read(path) for path in log.paths("labels")]
    assert len(tables) == 2
    assert log.read() == {"a": "1", "b": "0"}


def test_an_orphan_waits_in_quarantine_with_its_reason_and_joins_when_its_prediction_comes(log):
    log.write("a")
    assert log.add({"a": 1, "b": 0, "c": 1}, MONDAY) == AddedLabels(added=1, unknown=2)
    (path,) = log.paths("quarantine")
    held = pd.read_parquet(log.destination.at(path))
    assert set(held["reason"]) == {"no prediction in the log has this id"}
    log.write("b", at=MONDAY - DAY)
    assert log.labelled == {"a": "1", "b": "0"}, "at reading"
    assert log.add({"a": 0}, MONDAY + DAY) == AddedLabels(revised=1, released=1)
    assert log.read() == {"a": "0", "b": "0"}, "at the next addition"
    assert log.read(as_of=MONDAY) == {"a": "1", "b": "0"}, "as when it arrived"
    (path,) = log.paths("quarantine")
    assert list(pd.read_parquet(log.destination.at(path))["key"]) == ["c"]


def test_an_orphan_that_comes_again_is_kept_once(log):
    log.write("a")
    log.add({"b": 0}, MONDAY)
    assert log.add({"b": 0, "a": 1}, MONDAY + DAY) == AddedLabels(added=1, unknown=1)
    assert len(log.paths("quarantine")) == 1
    log.write("b")
    log.add({"a": 0}, MONDAY + 2 * DAY)
    assert log.paths("quarantine") == []
    assert log.labelled == {"a": "0", "b": "0"}


def test_ids_of_requests_and_rows_find_their_rows(log):
    log.write("a", "b", request_id="r", row=0)
    log.write("c", request_id="r", row=1)
    frame = pd.DataFrame({"id": ["r"], "n": [1], "late": ["yes"]})
    columns = LabelColumns("id", "late", row="n", key_kind="request_id")
    table = label_table(frame, columns, "labels.csv")
    add_labels(log.destination, MODEL, table, source="labels.csv", now=MONDAY)
    assert log.labelled == {"c": "yes"}


def test_of_two_keys_the_newest_label_counts(log):
    log.write("a")
    log.add({"a": 1}, MONDAY)
    log.add({"r-a": 0}, MONDAY + DAY, key="request_id")
    assert log.labelled == {"a": "0"}
    log.add({"a": 1}, MONDAY + 2 * DAY, retract=True)
    assert log.labelled == {}
    assert log.read(as_of=MONDAY) == {"a": "1"}


def test_all_mistakes_of_a_table_are_told_at_once():
    frame = pd.DataFrame(
        {
            "id": ["a", "a", None, "b"],
            "late": [1, 0, 1, 1],
            "when": ["2026-03-02", "soon", "2026-03-02", "2026-03-02"],
            "n": [0, 0, 0, -1],
        }
    )
    with pytest.raises(LabelMistakes) as raised:
        label_table(frame, LabelColumns("id", "late", "when", "n"), "labels.csv")
    assert str(raised.value) == (
        "labels.csv: 4 mistakes, and nothing was written\n"
        "  - id: is empty in 1 row(s); give each label its id\n"
        "  - n: -1 is not a whole number from 0\n"
        "  - when: 'soon' is not a time like 2013-08-31 or 2013-08-31T14:05:00Z\n"
        "  - late: 1 id(s) have two labels, as 'a'; keep the one that holds"
    )


def test_absent_columns_are_told_with_those_that_are_there():
    frame = pd.DataFrame({"id": ["a"], "late": [1]})
    with pytest.raises(LabelMistakes, match=r"no column 'key'; there are id, late\n.*'truth'"):
        label_table(frame, LabelColumns("key", "truth"), "labels.csv")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, 0], ["1", "0"]),
        ([1.0, 0.5], ["1", "0.5"]),
        ([True, False], ["True", "False"]),
        (["late", None], ["late"]),
        ([10**17 + 1, 3], ["100000000000000001", "3"]),
    ],
)
def test_a_value_has_one_text(values, texts):
    frame = pd.DataFrame({"id": ["a", "b"], "late": values})
    found = label_table(frame, LabelColumns("id", "late"), "labels.csv")
    assert found.column("label").to_pylist() == texts


ADD = """
import sys
from tests.cloche.prediction_log.conftest import Log, MONDAY, DAY
log = Log(sys.argv[1])
print("begun", flush=True)
log.add({f"{n}": n % 2 for n in range(400)}, MONDAY + 2 * DAY)
"""


def test_an_addition_that_is_killed_anywhere_is_made_whole_by_the_next(log, tmp_path):
    """Between any two writes: the store of the killed one fails from then on."""
    log.write(*map(str, range(200)))
    labels = {str(n): n % 2 for n in range(400)}
    put = Destination.put
    for allowed in (0, 1):
        left = allowed

        def dies(self, path, content):
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            put(self, path, content)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Destination, "put", dies)
            with pytest.raises(KeyboardInterrupt):
                log.add(labels, MONDAY)
        assert log.labelled == {}
    assert log.add(labels, MONDAY + DAY) == AddedLabels(added=200, unknown=200)
    assert len(log.labelled) == 200
    log.write(*map(str, range(200, 400)))
    assert log.labelled == {key: str(label) for key, label in labels.items()}


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_no_half_of_a_file(log):
    log.write(*map(str, range(200)))
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2):
        process = subprocess.Popen(
            [sys.executable, "-c", ADD, log.destination.uri], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert set(log.labelled.values()) <= {"0", "1"}
    log.add({str(n): n % 2 for n in range(400)}, MONDAY + 2 * DAY)
    assert log.labelled == {str(n): str(n % 2) for n in range(200)}
