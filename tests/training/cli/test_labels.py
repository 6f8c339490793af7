"""`cloche labels add` as people type it: its examples, its summary, and what it advises."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from cloche.prediction_log.errors import LabelMistakes, LogError
from cloche.prediction_log.lookup import LOG_TAG, LOG_VARIABLE
from cloche.training.cli.labels import ADD_HELP, HELP, labels
from tests.cloche.prediction_log.conftest import MODEL, Log

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = Log(tmp_path / "log")
    log.write("007", "b", "c", at=YESTERDAY)
    return log


def run(*arguments: str, **environment: str) -> str:
    """Run the command, and return its output; what it raises is raised."""
    result = CliRunner().invoke(
        labels, ["add", *arguments], env=environment, catch_exceptions=False, standalone_mode=False
    )
    return result.stdout


def write(name: str = "arrivals.csv", **columns: list[object]) -> None:
    pd.DataFrame(columns).to_csv(name, index=False)


def test_the_examples_do_what_they_say(log):
    """The zeros of an id in a text file are kept."""
    write(flight=["007", "b", "x", "c"], late=[1, 0, 1, None], arrived=["2026-03-02"] * 4)
    write("mistaken.csv", flight=["b"])
    text = re.sub(r"\\\n *", "", HELP + ADD_HELP)
    examples = [line.split()[3:] for line in text.splitlines() if line.startswith("  cloche")]
    first, with_time, retract = (run(*words, CLOCHE_LOG=log.destination.uri) for words in examples)
    assert first == (
        f"Labels of {MODEL}: added 2, revised 0, unchanged 0, unknown 1; unknown ones wait in "
        "quarantine for their predictions.\n"
    )
    assert "added 0, revised 0, unchanged 2, unknown 1" in with_time
    assert "retracted 1" in retract
    assert log.labelled == {"007": "1"}


def test_the_same_file_again_is_told(log):
    write(flight=["b"], late=[1])
    options = ("arrivals.csv", "--id", "flight", "--label", "late", "--log", log.destination.uri)
    run(MODEL, *options)
    today = datetime.now(UTC).date()
    assert run(MODEL, *options) == (
        f"Labels of {MODEL}: the same labels were added on {today} (UTC), and nothing was "
        "written.\n"
    )
    told = json.loads(run(MODEL, *options, "--json"))
    assert (told["added"], told["before"]) == (0, today.isoformat())


def test_parquet_and_a_database_are_read_like_csv(log):
    frame = pd.DataFrame({"flight": ["b"], "late": [True]})
    frame.to_parquet("arrivals.parquet")
    frame.assign(flight="c").to_sql("arrivals", "sqlite:///arrivals.db", index=False)
    common = ("--id", "flight", "--label", "late", "--log", log.destination.uri)
    assert "added 1" in run(MODEL, "arrivals.parquet", *common)
    query = ("--query", "SELECT * FROM arrivals")
    assert "added 1" in run(MODEL, "sqlite:///arrivals.db", *query, *common)
    assert log.labelled == {"b": "True", "c": "1"}


def test_a_table_that_cannot_be_used_writes_nothing(log):
    write(flight=["b"], late=[1])
    before = log.paths()
    with pytest.raises(LabelMistakes, match="no column 'flihgt'; did you mean 'flight'"):
        run(MODEL, "arrivals.csv", "--id", "flihgt", "--label", "late", "--log", "log")
    assert log.paths() == before


def test_where_the_log_is_can_be_said_three_ways(log, client):
    write(flight=["b"], late=[1])
    options = (MODEL, "arrivals.csv", "--id", "flight", "--label", "late")
    with pytest.raises(LogError, match=f"has no model '{MODEL}'.*{LOG_VARIABLE}=DESTINATION"):
        run(*options)
    client.create_registered_model(MODEL)
    with pytest.raises(LogError, match=f"has no tag {LOG_TAG}.*: {LOG_VARIABLE}=DESTINATION"):
        run(*options)
    assert "added 1" in run(*options, CLOCHE_LOG=str(Path("log").absolute()))
    client.set_registered_model_tag(MODEL, LOG_TAG, str(Path("log").absolute()))
    assert "the same labels were added" in run(*options)


@pytest.mark.parametrize("options", [(), ("--label", "late", "--retract")])
def test_a_table_gives_labels_or_takes_them_back(log, options):
    write(flight=["b"], late=[1])
    with pytest.raises(Exception, match="--label"):
        run(MODEL, "arrivals.csv", "--id", "flight", *options)
