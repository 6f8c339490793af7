"""What is read of a log: which rows, once, with the labels of a moment, whatever their types."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloche.prediction_log import layout
from cloche.prediction_log.errors import LogError
from cloche.prediction_log.reading import Selection, read_log
from tests.cloche.prediction_log.conftest import DAY, MODEL, MONDAY


def test_rows_are_selected_by_time_version_arm_and_status(log):
    log.write("early", at=MONDAY - DAY)
    log.write("a")
    log.write("canary", arm="canary", version="2")
    log.write("shadow", arm="shadow", version="3")
    log.write("failed", status=500)
    log.write("later", at=MONDAY + DAY)
    everyone = {"early", "a", "canary", "later"}
    assert set(log.read()) == everyone
    assert set(log.read(since=MONDAY)) == {"a", "canary", "later"}
    assert set(log.read(until=MONDAY + DAY)) == {"early", "a", "canary"}
    assert set(log.read(as_of=MONDAY)) == {"early", "a", "canary"}
    assert set(log.read(versions=("2",))) == {"canary"}
    assert set(log.read(arms=("shadow",))) == {"shadow"}
    assert set(log.read(answers_only=False)) == {*everyone, "failed"}


def test_days_outside_are_not_even_opened(log):
    path = log.write("early", at=MONDAY - DAY)
    log.write("a")
    log.destination.put(path, b"no Parquet file")
    assert set(log.read(since=MONDAY)) == {"a"}


def test_a_row_that_was_computed_twice_counts_once_and_is_told_apart(log):
    log.write("a", "b", request_id="r")
    log.write("c", request_id="r", attempt=2)
    log.write("d", request_id="r", arm="shadow")
    with read_log(log.destination, Selection(MODEL)) as found:
        rows = found.connection.sql("SELECT prediction_id, duplicate FROM logged").fetchall()
    assert dict(rows) == {"a": True, "b": True, "c": False}
    assert set(log.read()) == {"c"}
    assert set(log.read(arms=("shadow",))) == {"d"}


def test_the_same_moment_gives_the_same_answer_ever_after(log):
    log.write("a", "b", "c")
    log.add({"a": 1, "b": 1, "x": 0}, MONDAY)
    moment = MONDAY + DAY
    before = log.read(as_of=moment)
    log.add({"a": 0, "c": 1}, MONDAY + 2 * DAY)
    log.add({"b": 1}, MONDAY + 3 * DAY, retract=True)
    log.write("x", at=MONDAY + 2 * DAY)
    log.add({"c": 0}, MONDAY + 4 * DAY)
    assert before == log.read(as_of=moment) == {"a": "1", "b": "1", "c": None}
    assert log.read() == {"a": "0", "b": None, "c": "0", "x": "0"}


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ([1], [2.5], [1.0, 2.5]),
        ([1], ["north"], ["1", "north"]),
        ([None], [MONDAY.replace(tzinfo=None)], [None, MONDAY.replace(tzinfo=None)]),
        ([True], [{"x": 1}], ["true", "{'x': 1}"]),
        ([MONDAY], [[1.0]], ["2026-03-02 12:00:00+00", "[1.0]"]),
    ],
)
def test_a_column_may_change_its_type_between_versions(log, first, second, found):
    log.write("a", version="1", inputs={"gate": first, "only": ["x"]})
    log.write("b", version="2", at=MONDAY + DAY, inputs={"gate": second})
    with read_log(log.destination, Selection(MODEL)) as logged:
        table = logged.table("i_gate, i_only")
        assert set(logged.inputs) == {"gate", "only"}
    assert table.column("i_gate").to_pylist() == found
    assert table.column("i_only").to_pylist() == ["x", None]


def test_files_that_a_compaction_replaced_are_ignored(log):
    replaced = log.write("a")
    table = pq.read_table(log.destination.at(replaced))
    path = layout.compacted_file(MODEL, MONDAY.date(), "1", "0" * 16)
    metadata = {"cloche.replaces": json.dumps([replaced])}
    log.put(path, table.replace_schema_metadata(metadata))
    log.write("b")
    with read_log(log.destination, Selection(MODEL)) as found:
        assert found.connection.execute("SELECT count(*) FROM logged").fetchone() == (2,)


def test_a_log_without_predictions_or_labels_is_empty(log):
    assert log.read() == {}
    log.write("a")
    assert log.read() == {"a": None}


def test_hashed_inputs_are_named(log):
    log.write("a", inputs={"name": ["5f"]}, metadata={"cloche.hashed": '["name"]'})
    with read_log(log.destination, Selection(MODEL)) as found:
        assert found.hashed == {"name"}


def test_names_with_quotes_are_read_as_they_are(log):
    log.write("a", version="o'hara", inputs={'say "x"; drop': pa.array([1])})
    with read_log(log.destination, Selection(MODEL, versions=("o'hara",))) as found:
        assert found.inputs == ['say "x"; drop']
        assert found.table().num_rows == 1


def test_without_duckdb_the_command_that_installs_it_is_told(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(LogError, match=r"needs DuckDB; run: pip install 'cloche\[monitor\]'"):
        log.read()
