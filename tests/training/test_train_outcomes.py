"""What a training does when it searches, fails, or is only asked to explain."""

import json
import os
import signal
from collections.abc import Callable
from math import isfinite
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Run

from cloche import launch
from cloche.training.cli.train import train as train_command
from cloche.training.errors import TrainingError
from cloche.training.packaging.signature import model_inputs
from cloche.training.recipe.load import load_recipe
from cloche.training.recipe.schema import Recipe
from cloche.training.train import prepare_data, train
from tests.training.conftest import small_recipe


@pytest.fixture(autouse=True)
def _own_registry(client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Artifacts of MLflow's default store lie below the working directory."""
    monkeypatch.chdir(tmp_path)


def quick_recipe(*overrides: str) -> Recipe:
    return small_recipe("acceleration=off", *overrides)


def fail(say: Callable[[str], None] = lambda _: None) -> None:
    """Train what cannot be fitted."""
    with pytest.raises(TrainingError, match="MultinomialNB could not be fitted"):
        train(quick_recipe("estimator={class: sklearn.naive_bayes.MultinomialNB, params: {}}"), say)


def test_every_trial_of_a_search_is_a_nested_run(client):
    recipe = quick_recipe("search={trials: 3, space: {max_depth: {low: 1, high: 4}}}")
    result = train(recipe, lambda _: None)
    experiment = client.get_run(result.run_id).info.experiment_id

    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{result.run_id}'")

    assert {run.info.run_name for run in children} == {"trial 0", "trial 1", "trial 2"}
    assert all("validation/roc_auc" in run.data.metrics for run in children)


def test_a_search_that_runs_out_of_time_says_so():
    said: list[str] = []
    recipe = quick_recipe(
        "search={trials: 9, seconds: 0.000001, space: {max_depth: {low: 1, high: 4}}}"
    )

    train(recipe, said.append)

    assert [line for line in said if "used up after 1 of 9 trials" in line]


def test_a_training_that_fails_leaves_a_failed_run_and_no_version(client):
    fail()
    assert _only_run(client).info.status == "FAILED"
    assert not client.search_registered_models()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_somebody_ends_leaves_a_killed_run(client, number):
    def say(step: str) -> None:
        if step.startswith("judging"):
            os.kill(os.getpid(), number)

    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
        launch.interrupt_on_signals()  # as the command does
        with pytest.raises(KeyboardInterrupt):
            train(quick_recipe(), say)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)

    assert _only_run(client).info.status == "KILLED"
    assert not client.search_registered_models()


def test_a_run_that_was_begun_for_the_training_is_taken(client, monkeypatch):
    mlflow.set_experiment("Default")
    run = client.create_run("0")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)  # as `mlflow run` does
    fail()
    assert client.get_run(run.info.run_id).info.status == "FAILED"


def test_a_run_that_holds_something_else_is_left_as_it_is(client, monkeypatch):
    run_id = client.create_run("0", tags={"mlflow.runName": "theirs"}).info.run_id
    client.set_terminated(run_id, "FAILED")
    before = client.get_run(run_id).to_dictionary()
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    said: list[str] = []

    fail(said.append)

    assert client.get_run(run_id).to_dictionary() == before
    assert f"note: MLFLOW_RUN_ID names the run {run_id}" in "\n".join(said)
    assert _only_run(client).info.status == "FAILED"


def _only_run(client: MlflowClient) -> Run:
    (run,) = client.search_runs([client.get_experiment_by_name("breast-cancer").experiment_id])
    return run


def test_regression_leaves_its_own_plots(client):
    result = train(
        load_recipe("diabetes", ["gate.resamples=100", "acceleration=off"]), lambda _: None
    )

    plots = {Path(item.path).stem for item in client.list_artifacts(result.run_id, "plots")}
    assert {"residuals", "actual_by_predicted"} <= plots


@pytest.fixture
def herbs(tmp_path: Path) -> str:
    """A recipe whose holdout, the later days, has no row of the class `thyme`."""
    draw = np.random.default_rng(0)
    names = np.array(["basil", "mint", "sage", "thyme"])
    codes = np.concatenate([draw.integers(0, 4, 200), draw.integers(0, 3, 100)])
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2020-01-01", periods=300).astype(str),
            "height": codes + draw.normal(0, 1.5, 300),
            "herb": names[codes],
        }
    )
    frame.to_csv(tmp_path / "herbs.csv", index=False)
    (tmp_path / "herbs.yaml").write_text(
        """
        name: herbs
        task: multiclass
        data: {source: herbs.csv}
        target: herb
        split:
          by: time
          column: day
          train: [2020-01-01, 2020-07-18]
          holdout: [2020-07-19, 2020-12-31]
        columns: {numeric: [height]}
        estimator: {class: sklearn.linear_model.LogisticRegression}
        acceleration: off
        gate: {resamples: 100}
        """
    )
    return str(tmp_path / "herbs.yaml")


def test_a_holdout_that_lacks_a_class_has_its_metrics_and_says_so(client, herbs):
    sentence = (
        "no row of the holdout has the label 'thyme'; "
        "averages over the classes are those over the others"
    )
    explained = CliRunner().invoke(train_command, [herbs, "--explain"])
    assert f"note        herb: {sentence}" in explained.output
    assert client.get_experiment_by_name("herbs") is None, "it only explains"

    done = json.loads(CliRunner().invoke(train_command, [herbs, "--json"]).stdout)

    holdout = done["holdout"]
    assert all(isfinite(value) for one in holdout.values() for value in one.values())
    assert holdout["recall"] == pytest.approx(holdout["balanced_accuracy"])
    assert done["notes"] == [sentence]
    version = client.get_model_version("herbs", done["version"])
    assert f"Note: {sentence}." in version.description


MOMENTS = pd.Series(pd.date_range("2024-01-01", periods=200, freq="7h"))
SEOUL, UTC = (MOMENTS.dt.tz_localize("UTC").dt.tz_convert(at) for at in ("Asia/Seoul", "UTC"))
MIXED = SEOUL.astype(str).where(SEOUL.index % 2 == 0, UTC.astype(str))


@pytest.mark.parametrize(
    ("moments", "zoned"),
    [
        (MOMENTS, False), (MOMENTS.astype(str), False), (SEOUL, True), (SEOUL.astype(str), True),
        (UTC, True), (MIXED, True),
    ],
)  # fmt: skip
def test_times_with_a_zone_are_learned_in_utc_as_they_are_served(tmp_path, moments, zoned):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"t": moments, "size": draw.normal(size=200)})
    frame["broken"] = draw.integers(0, 2, 200)
    frame.to_parquet(tmp_path / "times.parquet")
    recipe = Recipe.model_validate(
        {
            "name": "times",
            "task": "binary",
            "data": {"source": str(tmp_path / "times.parquet")},
            "target": "broken",
            "split": {"by": "fraction"},
            "columns": {"numeric": ["size"], "datetime": ["t"]},
            "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
        }
    )

    data = prepare_data(recipe)

    for side in (data.split.train, data.split.holdout):
        learned = model_inputs(side, recipe.columns)["t"]
        pd.testing.assert_series_equal(
            learned, MOMENTS[side.index], check_names=False, check_dtype=False
        )
        assert learned.dt.tz is None
    note = "t: its times have a time zone; the model takes them in UTC, as it will be served"
    assert data.warnings == ([note] if zoned else [])
