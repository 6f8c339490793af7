"""When a part is divided, and when a job fails instead: no row may get another prediction by it."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from cloche.serving.batch.job.pinned_job import Job, Layout, PinnedVersion
from cloche.serving.batch.scoring.predict import PartScorer
from cloche.serving.batch.scoring.worker import Worker
from cloche.serving.errors import JobFailed
from tests.serving.batch.conftest import table

pytestmark = pytest.mark.xdist_group("batch")
FORMATS = ["csv", "jsonl", "parquet"]


@pytest.fixture
def rows() -> pd.DataFrame:
    """Four hundred, in a file."""
    rows = table(400).fillna({"a": 0.0})
    rows.to_parquet("rows.parquet")
    return rows


def read(place: Path) -> pd.DataFrame:
    if place.suffix == ".jsonl":
        return pd.read_json(place, lines=True)
    return pd.read_csv(place) if place.suffix == ".csv" else pd.read_parquet(place)


@pytest.mark.parametrize("suffix", FORMATS)
def test_answers_with_gaps_need_one_call_for_a_part(suffix, rows, made_models, score):
    model = PartScorer.load(made_models / "because")._model.unwrap_python_model()
    model.asked.clear()
    outcome = score("rows.parquet", f"out.{suffix}", model="because", part_rows=2000)
    assert model.asked == [400]
    assert outcome.manifest["refused"] == 0
    found = read(Path(f"out.{suffix}"))
    answer = mlflow.pyfunc.load_model(str(made_models / "because")).predict(rows[["a", "b", "c"]])
    assert found["rank"].tolist() == answer["rank"].tolist()
    assert found["why"].fillna("").tolist() == answer["why"].fillna("").tolist()


@pytest.mark.parametrize(
    "bad",
    [[7], *(pytest.param(bad, marks=pytest.mark.breadth)
            for bad in ([0], [399], [3, 250], range(0, 400, 2)))],
)  # fmt: skip
def test_a_part_of_a_model_that_looks_across_rows_is_not_divided(bad, rows, score):
    rows.loc[bad, "a"] = 13.0
    rows.to_parquet("rows.parquet")
    with pytest.raises(JobFailed, match=r"answers 'rank' of a row by the rows beside it"):
        score("rows.parquet", "out.csv", model="because", part_rows=2000)
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_table_of_several_parts_is_not_scored_by_a_model_that_looks_across_rows(
    suffix, rows, score
):
    write = {
        "csv": lambda name: rows.to_csv(name, index=False),
        "jsonl": lambda name: rows.to_json(name, orient="records", lines=True),
        "parquet": rows.to_parquet,
    }
    write[suffix](f"rows.{suffix}")
    with pytest.raises(JobFailed, match=r"answers 'rank' of a row by the rows beside it.*part-row"):
        score(f"rows.{suffix}", "out.csv", model="because", part_rows=100)
    assert not Path("out.csv").exists()


def test_files_of_one_part_are_tables_of_their_own(rows, score):
    """Scenario: the model ranks the rows of each day, and each day is a file."""
    Path("days").mkdir()
    rows[:200].to_parquet("days/1.parquet")
    rows[200:].to_parquet("days/2.parquet")
    assert score("days", "out.csv", model="because", part_rows=300).manifest["scored"] == 400


@pytest.mark.parametrize(("count", "bad"), [(400, 399), (2, 1)])
def test_a_single_row_that_is_left_was_asked_alone(count, bad, rows, score):
    rows.loc[: bad - 1, "a"] = 13.0
    rows[:count].to_parquet("rows.parquet")
    options = {"model": "because", "part_rows": 2000}
    done = score("rows.parquet", "out.csv", **options)
    assert done.manifest["scored"] == 1


@pytest.mark.parametrize("count", [3, pytest.param(5, marks=pytest.mark.breadth)])
def test_nor_is_a_part_of_few_rows(count, rows, score):
    rows.loc[0, "a"] = 13.0
    rows[:count].to_parquet("rows.parquet")
    with pytest.raises(JobFailed, match="by the rows beside it"):
        score("rows.parquet", "o.csv", model="because")


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    "rows_per_call", [250, *(pytest.param(one, marks=pytest.mark.breadth) for one in (1, 2, 50))]
)
def test_nor_after_it_killed_its_worker(rows_per_call, made_models, tmp_path):
    inputs = pd.read_parquet("rows.parquet")[["a", "b", "c"]]
    pinned = PinnedVersion("", "because", "", "", "", "", str(made_models / "because"), "")
    worker = Worker(Job(pinned, {}, Layout("csv", directory=False), 2000), tmp_path)
    with pytest.raises(JobFailed, match="by the rows beside it"):
        worker.row_scorer.score(inputs, rows_per_call)


def test_what_is_thrown_by_chance_is_no_sign_of_looking_across_rows(rows, score):
    rows.loc[[3, 300], "a"] = 13.0
    rows.to_parquet("rows.parquet")
    outcome = score("rows.parquet", "out.csv", model="dice", part_rows=2000)
    assert outcome.manifest["refused"] == 2


@pytest.mark.usefixtures("rows")
def test_another_number_of_answers_than_rows_fails_the_job_at_once(score):
    with pytest.raises(JobFailed, match=r"answered 400 rows with 1 values of 'prediction'"):
        score("rows.parquet", "o.csv", model="summing", part_rows=2000)
    mended = {"model": "tensor", "overwrite": True}  # it has one for each row
    assert score("rows.parquet", "o.csv", **mended).manifest["scored"] == 400


def test_parts_of_types_that_no_value_survives_fail_the_job(rows, score):
    rows["b"] = np.where(rows.index < 200, 1, 3)
    rows.to_parquet("rows.parquet")
    options = {"model": "changing", "part_rows": 200}
    several = r"'y' as int64 for some rows .* one type; pandas has Int64"
    with pytest.raises(JobFailed, match=several):
        score("rows.parquet", "out.parquet", **options)
    whole = options | {"model": "whole", "overwrite": True}
    assert score("rows.parquet", "out.parquet", **whole).manifest["scored"] == 400
    score("rows.parquet", "out.jsonl", **options)
    lines = Path("out.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["y"] == 2**53 + 1
    assert json.loads(lines[-1])["y"] == 0.5
