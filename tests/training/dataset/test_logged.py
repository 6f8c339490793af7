"""Logged rows are a table like any other: typed labels, refusals, and a source to read again."""

from datetime import UTC, datetime

import pytest

from cloche.prediction_log.lookup import LOG_VARIABLE
from cloche.training.dataset.reading.logged import parse_source
from cloche.training.dataset.reading.sources import load_table
from cloche.training.errors import DataError
from cloche.training.recipe.load import data_section
from tests.cloche.prediction_log.conftest import DAY, MODEL, MONDAY, Log


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv(LOG_VARIABLE, str(tmp_path / "log"))
    return Log(tmp_path / "log")


def load(query="", columns=None, target="late"):
    return load_table(data_section({"source": f"log:{MODEL}{query}"}), columns, target=target)


def test_inputs_and_labels_become_columns_under_their_names(log):
    log.write("a", "b", inputs={"delay": [1.5, 2.5], "gate": ["x", "y"]})
    log.add({"a": 1}, MONDAY + DAY)
    frame = load(columns=["delay", "late", "received_at"]).frame
    assert list(frame.columns) == ["delay", "late", "received_at"]
    assert frame["delay"].tolist() == [1.5, 2.5]
    assert frame["late"].isna().tolist() == [False, True]
    assert load().frame.columns.tolist() == ["delay", "gate", "late"]


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ({"a": 1, "b": 0}, "int64"),
        ({"a": 1.5, "b": 0}, "float64"),
        ({"a": True, "b": False}, "bool"),
        ({"a": "yes", "b": "0"}, "str"),
    ],
)
def test_labels_have_the_type_that_a_table_would_give_them(log, labels, kind):
    log.write("a", "b", inputs={"delay": [1, 2]})
    log.add(labels, MONDAY)
    values = load().frame["late"]
    assert (values.dtype, values.tolist()) == (kind, [*labels.values()])


def test_only_answers_of_production_are_learned_from_unless_others_are_named(log):
    log.write("a", inputs={"delay": [1]})
    log.write("b", inputs={"delay": [2]}, arm="canary")
    log.write("c", inputs={"delay": [3]}, arm="shadow")
    log.write("d", inputs={"delay": [4]}, status=500)
    assert load().frame["delay"].tolist() == [1]
    assert load("?arms=production,canary").frame["delay"].tolist() == [1, 2]


def test_days_are_inclusive_and_the_source_reads_the_same_rows_later(log):
    for day in range(4):
        log.write(f"{day}", inputs={"delay": [day]}, at=MONDAY + day * DAY)
    log.add({"1": 1}, MONDAY + 5 * DAY)
    table = load("?since=2026-03-03&until=2026-03-04")
    assert table.frame["delay"].tolist() == [1, 2]
    log.add({"1": 0, "2": 0}, datetime.now(UTC) + DAY)
    again = load(table.source.removeprefix(f"log:{MODEL}"))
    assert again.digest == table.digest
    assert again.source == table.source
    assert load("?since=2026-03-03&until=2026-03-04").digest == table.digest
    later = f"?since=2026-03-03&until=2026-03-04&as_of={datetime.now(UTC) + 2 * DAY:%Y-%m-%d}"
    assert load(later).frame["late"].tolist() == [0, 0]


def test_columns_that_are_not_logged_are_named_in_one_sentence(log):
    log.write("a", inputs={"delay": [1]})
    with pytest.raises(DataError) as raised:
        load(columns=["delay", "gate", "name", "late"])
    assert raised.value.problems == ("the log lacks gate, name; log them: --log-inputs gate,name",)


def test_hashed_columns_are_no_inputs_to_learn_from(log):
    log.write("a", inputs={"name": ["5f"]}, metadata={"cloche.hashed": '["name"]'})
    with pytest.raises(DataError, match="has hashes in place of name; leave --log-hash out"):
        load(columns=["name", "late"])


def test_an_empty_log_is_told(log):
    with pytest.raises(DataError, match="the log has no such rows"):
        load()


def test_all_mistakes_of_a_source_are_told_at_once():
    with pytest.raises(DataError) as raised:
        parse_source("log:?sinse=2026&until=tomorrow", now=MONDAY)
    assert raised.value.problems == (
        "sinse: is not known; did you mean 'since'?",
        "until: 'tomorrow' is no day like 2026-01-31, and no time",
        "names no model; write log:NAME",
    )


def test_names_of_models_are_quoted():
    selection = parse_source("log:late%3Fplanes?arms=canary", now=MONDAY)
    assert (selection.model, selection.arms) == ("late?planes", ("canary",))
