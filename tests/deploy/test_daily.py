"""The daily job: one day at a time, whoever starts it."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from tests.deploy.conftest import GOOD, Run

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("deploy")]


def yesterday() -> str:
    return f"{datetime.now(ZoneInfo('America/New_York')) - timedelta(days=1):%Y-%m-%d}"


def test_a_day_is_scored_into_its_partition_with_its_report_and_again_is_a_no_op(run, flights):
    run("score-day", GOOD)

    scored = flights / "scores" / f"date={GOOD}"
    rows = pd.read_csv(flights / "flights" / f"{GOOD}.csv")
    scores = pd.read_parquet(scored)
    assert scores["flight_id"].tolist() == rows["flight_id"].tolist()
    assert scores["probability"].between(0, 1).all()
    assert (scored / "_SUCCESS").exists()
    assert json.loads((scored / "_report.json").read_text())["rows"] == len(rows)
    assert "Nothing was done" in run("score-day", GOOD).stdout


def test_without_a_day_it_is_yesterday_in_new_york(run: Run, flights: Path):
    day = yesterday()
    answer = run("score-day", code=1)
    assert f"flights/{day}.csv: nothing is there" in answer.stderr
    assert not (flights / "scores").exists()


def test_another_job_is_other_settings(run: Run, flights: Path):
    (flights / "flights" / f"{GOOD}.csv").rename(flights / "2013-11.csv")
    patterns = {"INPUT": "{date:%Y-%m}.csv", "OUTPUT": "monthly/{date:%Y/%m}.csv"}
    run("score-day", GOOD, "--keep", **patterns)
    assert "carrier" in pd.read_csv(flights / "monthly" / "2013" / "11.csv")


def test_a_wrong_day_is_wrong_usage(run: Run):
    assert "like 2013-11-01" in run("score-day", "1.11.2013", code=2).stderr
