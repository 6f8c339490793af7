"""One training leaves a run worth opening and a version that stock MLflow can serve."""

import contextlib
import hashlib
import json
import pickletools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from cloche.training.recipe.load import load_recipe
from cloche.training.train import TrainedVersion, train
from tests import warm
from tests.shelf import empty_store
from tests.stores import stores
from tests.training.conftest import small_recipe

pytestmark = pytest.mark.xdist_group("train")  # one training serves them all


PLAN = "rollout.steps=[1, 10]"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
    """One registry for all tests here: a training takes seconds, and they only look at it."""
    folder = tmp_path_factory.mktemp("registry")
    shutil.copy(empty_store(), folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    # artifacts of MLflow's default store lie below the working directory
    with contextlib.chdir(folder), stores(uri):
        yield MlflowClient()


@pytest.fixture(scope="module")
def result(client: MlflowClient) -> TrainedVersion:
    return trained(PLAN)


@pytest.fixture(scope="module")
def plain(client: MlflowClient) -> TrainedVersion:
    """The same without a twin."""
    return trained("name=plain", "acceleration=off")


def trained(*overrides: str) -> TrainedVersion:
    return train(small_recipe(*overrides), lambda _: None)


def files_of(result: TrainedVersion) -> list[Path]:
    folder = mlflow.artifacts.download_artifacts(f"models:/{result.name}/{result.version}")
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def rows_to_predict(result: TrainedVersion) -> pd.DataFrame:
    return pd.read_parquet(
        mlflow.artifacts.download_artifacts(
            run_id=result.run_id, artifact_path="holdout/holdout.parquet"
        )
    )


def test_the_run_holds_what_a_person_and_the_gate_need(client, result):
    run = client.get_run(result.run_id)

    assert run.info.status == "FINISHED"
    assert run.data.tags["cloche.kind"] == "training"
    assert run.data.params["estimator"] == "sklearn.ensemble.RandomForestClassifier"
    low, value, high = (run.data.metrics[f"holdout/roc_auc{end}"] for end in ("_low", "", "_high"))
    assert low <= value <= high
    assert [i.tags[0].value for i in run.inputs.dataset_inputs] == ["training", "holdout"]
    found = {item.path for item in client.list_artifacts(result.run_id)}
    assert {"recipe.yaml", "environment", "plots", "tables", "holdout"} <= found
    plots = {Path(item.path).stem for item in client.list_artifacts(result.run_id, "plots")}
    assert plots >= {
        "roc_curve", "precision_recall", "confusion_matrix", "calibration",
        "permutation_importance",
    }  # fmt: skip


def test_the_recipe_in_the_run_trains_the_same_again(result, tmp_path):
    stored = mlflow.artifacts.load_text(f"runs:/{result.run_id}/recipe.yaml")
    (tmp_path / "again.yaml").write_text(stored, encoding="utf-8")
    assert load_recipe(str(tmp_path / "again.yaml")) == small_recipe(PLAN)


def test_the_version_becomes_the_challenger_with_a_card(client, result):
    version = client.get_model_version(result.name, result.version)

    assert version.aliases == ["challenger"]
    assert version.run_id == result.run_id
    assert version.description.startswith(f"# {result.name}")
    assert f"{result.evaluation.holdout['roc_auc'].value:.4f}" in version.description


def test_stock_mlflow_predicts_with_named_columns(result):
    rows = rows_to_predict(result)
    output = mlflow.pyfunc.load_model(f"models:/{result.name}@challenger").predict(rows)
    assert list(output.columns) == ["prediction", "probability"]
    np.testing.assert_array_equal(output["prediction"], output["probability"] >= 0.5)


def test_the_version_carries_a_proven_twin_and_the_run_its_proof(client, result):
    run, version = client.get_run(result.run_id), client.get_model_version(result.name, "1")
    stored = {path.name: path for path in files_of(result) if path.parent.name == "onnx"}

    document = json.loads(stored["twin.json"].read_text(encoding="utf-8"))
    assert document == mlflow.artifacts.load_dict(f"runs:/{result.run_id}/acceleration/twin.json")
    assert document["inputs"][0]["column"] in rows_to_predict(result)
    assert stored["model.onnx"].stat().st_size > 1000
    assert version.tags["cloche.accelerated"] == run.data.tags["cloche.accelerated"] == "onnx"
    digest = hashlib.sha256(stored["twin.json"].read_bytes()).hexdigest()
    assert version.tags["cloche.accelerated_digest"] == digest
    assert run.data.metrics["acceleration/largest_difference"] < 1e-6


def test_a_training_without_a_twin_says_why_and_leaves_the_version_as_it_was(client, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr("cloche.training.acceleration.proven_twin.find_spec", lambda name: None)

    lacking = train(small_recipe("name=lacking"), said.append)

    assert any("pip install 'cloche[acceleration]'" in line for line in said)
    tags = client.get_run(lacking.run_id).data.tags
    assert tags["cloche.accelerated"] == "no"
    assert "is not installed" in tags["cloche.accelerated_reason"]
    assert "cloche.accelerated" not in client.get_model_version("lacking", lacking.version).tags
    assert not [path for path in files_of(lacking) if path.parent.name == "onnx"]


def test_the_same_recipe_data_and_seed_give_the_same_predictions(result, plain):
    other = trained("name=other", "seed=7", "acceleration=off")
    rows = rows_to_predict(result)

    def probabilities(of: TrainedVersion) -> pd.Series:
        model = mlflow.pyfunc.load_model(f"models:/{of.name}/{of.version}")
        return model.predict(rows)["probability"]

    pd.testing.assert_series_equal(probabilities(result), probabilities(plain), check_exact=True)
    assert (probabilities(result) != probabilities(other)).any()


# what is no pickle may begin like one
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
def test_no_pickle_lies_anywhere_in_the_version(result):
    def is_pickle(path: Path) -> bool:
        try:
            return bool(list(pickletools.genops(path.read_bytes())))
        except ValueError:
            return False

    files = files_of(result)

    assert {"scorer.py", "model.skops", "profile.json"} <= {path.name for path in files}
    assert not [path for path in files if is_pickle(path)]


def test_the_version_predicts_where_cloche_is_not_installed(result, tmp_path):
    rows_to_predict(result).head(3).to_parquet(tmp_path / "rows.parquet")
    code = f"""
import sys

def is_ours(name):
    return name.partition(".")[0] in ("cloche", "training", "serving")

class NoCloche:
    def find_spec(self, name, path=None, target=None):
        if is_ours(name):
            raise ModuleNotFoundError(name)

for name in filter(is_ours, list(sys.modules)):  # that a warm interpreter has imported
    del sys.modules[name]
sys.meta_path.insert(0, NoCloche())
import mlflow, pandas
mlflow.set_tracking_uri({mlflow.get_tracking_uri()!r})
model = mlflow.pyfunc.load_model("models:/{result.name}/{result.version}")
print(len(model.predict(pandas.read_parquet({str(tmp_path / "rows.parquet")!r}))))
"""
    answer = subprocess.run(
        [warm.python(), "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )

    assert answer.stdout.strip() == "3"


def test_the_policy_and_the_profile_travel_with_the_version(result):
    info = mlflow.models.get_model_info(f"models:/{result.name}/{result.version}")
    assert info.metadata["cloche"]["gate"]["minimum"] == {"roc_auc": 0.95}
    assert info.metadata["cloche"]["rollout"]["steps"] == [1, 10]
    assert info.metadata["cloche"]["holdout"]["rows"] == len(rows_to_predict(result))
    assert "cloche" not in "".join(p.read_text() for p in files_of(result) if p.suffix == ".txt")
