"""`cloche sample`: lists the samples and writes their rows."""

import io

import pandas as pd
import pytest
from click.testing import CliRunner

from cloche.training.cli.sample import sample
from cloche.training.dataset.samples import catalog
from cloche.training.dataset.samples.catalog import Sample


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(sample, arguments)


def test_without_a_name_the_samples_are_listed(run):
    lines = run().stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["flights", "breast_cancer", "wine", "diabetes"]


@pytest.mark.xdist_group("flights")
def test_live_days_are_written_without_the_answer(run, tmp_path):
    days = ("--from", "2013-11-01", "--to", "2013-11-02")
    result = run("flights", *days, "--without-target", "november.csv")
    assert result.exit_code == 0
    assert result.stdout == "1,613 rows, 25 columns: november.csv\n"
    rows = pd.read_csv(tmp_path / "november.csv")
    assert set(rows["flight_date"]) == {"2013-11-01", "2013-11-02"}
    assert "late" not in rows


def test_one_day_alone_is_written(run, monkeypatch):
    rows = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=4, freq="12h"), "y": range(4)})
    visits = Sample(lambda: rows, "visits", target="y", time="day")
    monkeypatch.setitem(catalog.SAMPLES, "flights", visits)
    assert run("flights", "--date", "2020-01-02", "day.parquet").exit_code == 0
    assert pd.read_parquet("day.parquet")["y"].tolist() == [2, 3]


def test_a_dash_writes_csv_to_stdout(run):
    rows = pd.read_csv(io.StringIO(run("wine", "-").stdout))
    assert rows.shape == (178, 14)
