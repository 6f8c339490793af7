"""The accelerated twin in a job: it answers what it is sure of, and the model everything else."""

import hashlib
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from cloche.serving.batch import resume_checks
from cloche.serving.batch.scoring.batch_twin import choose_twin
from cloche.serving.batch.scoring.predict import PartScorer
from cloche.serving.errors import JobFailed, JobRefused
from cloche.serving.host.predictors.twin import TwinPrediction
from tests.serving.batch.conftest import HereEngine, expected, table

pytestmark = pytest.mark.xdist_group("batch")

ROWS = table(40)
INPUTS = ROWS[["a", "b", "c"]]
SHIFT = 0.25  # what tells the twin's scores from the model's


class Twin:
    """Answers as the model does, shifted, and is sure of rows with an odd `b` only."""

    tolerance = 2e-6
    takes_tables = False  # it is asked with frames

    def __init__(self, model, shift=SHIFT, failure=None):
        self._model, self._shift, self._failure = model, shift, failure

    def predict(self, frame):
        if self._failure:
            raise self._failure
        answer = self._model.predict(frame)
        columns = [answer["prediction"].to_numpy(), answer["probability"].to_numpy() + self._shift]
        return TwinPrediction(
            frame["b"].to_numpy() % 2 == 1, ["prediction", "probability"], columns
        )


@pytest.fixture(scope="module")
def model(made_models):
    return mlflow.pyfunc.load_model(str(made_models / "plain"))


@pytest.fixture
def twin_scores(monkeypatch, model):
    """Jobs are scored with the twin, as if the registry named it."""
    monkeypatch.setattr(resume_checks, "choose_twin", lambda *_: "digest")
    monkeypatch.setattr(
        PartScorer,
        "load",
        staticmethod(lambda _, twin: PartScorer(model, Twin(model) if twin else None)),
    )


@pytest.mark.parametrize("failure", [None, RuntimeError("no such node")])
def test_rows_that_the_twin_is_not_sure_of_are_the_models_in_their_places(
    failure, model, made_models
):
    scorer = PartScorer(model, Twin(model, failure=failure))
    found = scorer.predict(INPUTS)
    sure = (INPUTS["b"].to_numpy() % 2 == 1) & (failure is None)
    scores = expected(made_models, ROWS)["probability"].to_numpy()
    np.testing.assert_array_equal(found["probability"], np.where(sure, scores + SHIFT, scores))
    assert scorer.by_twin == sure.sum()


def test_a_twin_without_memory_gets_fewer_rows_and_not_another_answer(model):
    failure = RuntimeError("Failed to allocate memory for requested buffer")
    with pytest.raises(MemoryError):
        PartScorer(model, Twin(model, failure=failure)).predict(INPUTS)


def test_a_twin_that_differs_on_this_machine_stops_the_job(model):
    PartScorer(model, Twin(model, shift=1e-6)).prove(INPUTS)
    with pytest.raises(JobFailed, match=r"input example.*--overwrite --no-acceleration"):
        PartScorer(model, Twin(model, shift=1e-3)).prove(INPUTS)


def test_a_model_with_other_columns_than_its_twin_stops_the_job_and_no_row_is_blamed(
    twin_scores, monkeypatch, model, score
):
    class Other(Twin):
        def predict(self, frame):
            found = super().predict(frame)
            return TwinPrediction(found.sure, ["prediction", "score"], found.columns)

    monkeypatch.setattr(
        PartScorer, "load", staticmethod(lambda *_: PartScorer(model, Other(model)))
    )
    ROWS.to_parquet("rows.parquet")

    with pytest.raises(JobFailed, match="answers in other columns"):
        score("rows.parquet", "out.parquet")


@pytest.mark.parametrize("named", ["", "another"])
def test_only_the_twin_that_the_registry_names_is_used(named, made_models, tmp_path):
    path, said = tmp_path / "plain", []
    shutil.copytree(made_models / "plain", path)
    (path / "onnx").mkdir()
    (path / "onnx" / "twin.json").write_text("{}")
    (path / "onnx" / "model.onnx").write_bytes(b"")

    assert (
        choose_twin(path, hashlib.sha256(named.encode()).hexdigest() if named else "", said.append)
        == ""
    )

    assert said == (
        ["The model scores without its twin. The twin is not the one that the registry names."]
        if named
        else []
    )


def test_the_record_says_who_scored_how_many_rows(twin_scores, score, made_models):
    ROWS.to_parquet("rows.parquet")
    outcome = score("rows.parquet", "out.parquet")
    alone = score("rows.parquet", "alone.parquet", acceleration=False)
    odd = int((ROWS["b"] % 2 == 1).sum())
    assert outcome.manifest["predictors"] == {"onnx": odd, "pyfunc": len(ROWS) - odd}
    assert outcome.manifest["job"]["model"]["twin"] == "digest"
    assert f"The accelerated twin answered {odd}" in Path("out.parquet.report.html").read_text()
    assert alone.manifest["predictors"] == {"onnx": 0, "pyfunc": len(ROWS)}
    found = pd.read_parquet("alone.parquet")["probability"]
    pd.testing.assert_series_equal(found, expected(made_models, ROWS)["probability"])


def test_a_job_goes_on_with_the_predictor_that_it_began_with(twin_scores, score, monkeypatch):
    ROWS.to_parquet("rows.parquet")
    source = Path("rows.parquet")
    score(source, "whole.parquet")
    with pytest.raises(KeyboardInterrupt):
        score(source, "out.parquet", engine=HereEngine(2))
    with pytest.raises(JobRefused, match="begun with the accelerated twin"):
        score(source, "out.parquet", resume=True, acceleration=False)
    monkeypatch.setattr(resume_checks, "choose_twin", lambda *_: "")
    score(source, "out.parquet", resume=True)
    same = Path("whole.parquet").read_bytes()
    assert Path("out.parquet").read_bytes() == same
