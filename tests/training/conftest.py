"""A registry of one's own, and small models whose quality is known beforehand."""

import functools
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from cloche.training.dataset.reading.digest import frame_digest
from cloche.training.recipe.load import load_recipe
from cloche.training.recipe.schema import Recipe
from tests.shelf import empty_store, shelf
from tests.stores import stores

FEATURES = ["hour", "wind", "gust"]

# A small sound recipe, as values.
CHURN: dict[str, Any] = {
    "name": "churn",
    "task": "binary",
    "data": {"source": "churn.csv"},
    "target": "churned",
    "split": {"by": "fraction", "holdout": 0.25},
    "columns": {"numeric": ["age", "spend"], "categorical": ["plan"]},
    "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
}

LogVersion = Callable[..., str]
SaveModel = Callable[..., Path]


def make_holdout(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Rows whose target depends on `hour` and `wind`; `origin` slices them in two unequal parts."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(rows, 3)), columns=FEATURES)
    chance = 1 / (1 + np.exp(-(2 * frame["hour"] + frame["wind"])))
    frame["origin"] = np.where(generator.random(rows) < 0.7, "JFK", "EWR")
    frame["late"] = (generator.random(rows) < chance).astype(np.int64)
    return frame


def make_classifier(error: float = 0.0, features: list[str] | None = None) -> LogisticRegression:
    """A fitted classifier; an `error` of 0 ranks as well as anybody can, a large one badly."""
    features = features or FEATURES
    weights = {"hour": 2.0, "wind": 1.0 - error, "gust": error}
    classifier = LogisticRegression()
    classifier.coef_ = np.array([[weights[name] for name in features]])
    classifier.intercept_ = np.zeros(1)
    classifier.classes_ = np.array([0, 1])
    classifier.feature_names_in_ = np.array(features, dtype=object)
    classifier.n_features_in_ = len(features)
    return classifier


@pytest.fixture
def holdout() -> pd.DataFrame:
    """600 rows: features, the slice column `origin`, the target `late`."""
    return make_holdout()


@functools.cache
def _saved_once(error: float, features: tuple[str, ...], options: str) -> Path:
    """A model that this process saves once, to be copied; the options of MLflow are JSON."""
    classifier = make_classifier(error, [*features])
    example = make_holdout(5)[[*features]]
    path = Path(tempfile.mkdtemp(dir=shelf())) / "model"
    with warnings.catch_warnings():
        # MLflow 3.17 compares columns with a range, which pandas 3 deprecates.
        warnings.filterwarnings("ignore", "Operation with range is deprecated")
        mlflow.sklearn.save_model(
            classifier, str(path), input_example=example, pyfunc_predict_fn="predict_proba",
            signature=infer_signature(example, classifier.predict_proba(example)),
            pip_requirements=["scikit-learn"], **json.loads(options),
        )  # fmt: skip
    return path


@pytest.fixture
def save_model(tmp_path: Path) -> SaveModel:
    """(error, features, **of mlflow) → folder of a saved model that answers with probabilities."""

    def save(error: float = 0.0, features: list[str] | None = None, **options: Any) -> Path:
        path = tmp_path / f"model-{len(list(tmp_path.glob('model-*')))}"
        once = _saved_once(error, tuple(features or FEATURES), json.dumps(options))
        return Path(shutil.copytree(once, path))

    return save


def small_recipe(*overrides: str) -> Recipe:
    """A recipe that is trained in a second; `overrides` are KEY=VALUE, as for `--set`."""
    forest = (
        "estimator.class=sklearn.ensemble.RandomForestClassifier",
        "estimator.params={n_estimators: 5}",
        "gate.resamples=100",
    )
    return load_recipe("breast-cancer", [*forest, *overrides])


def carried_policy(holdout: pd.DataFrame, gate: Mapping[str, Any]) -> dict[str, Any]:
    """What a training by Cloche puts into a model's metadata."""
    return {
        "cloche": {
            "schema": 1,
            "task": "binary",
            "target": "late",
            "positive": 1,
            "classes": [0, 1],
            "metrics": ["roc_auc", "log_loss"],
            "slices": ["origin"],
            "gate": {"minimum": {"roc_auc": 0.6}, "resamples": 100, **gate},
            "seed": 42,
            "holdout": {
                "artifact": "holdout/holdout.parquet",
                "digest": frame_digest(holdout),
                "rows": len(holdout),
            },
        }
    }


@pytest.fixture
def client(tmp_path: Path) -> Iterator[MlflowClient]:
    """A client of an empty store, which is MLflow's current one during the test."""
    shutil.copy(empty_store(), tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    own = MlflowClient(uri, uri)
    own.create_experiment("flights", artifact_location=(tmp_path / "artifacts").as_uri())
    with stores(uri):
        yield own


@pytest.fixture
def log_version(client: MlflowClient, tmp_path: Path, save_model: SaveModel) -> LogVersion:
    """Register a version and return its number.

    (model, error, gate, holdout, by_cloche, challenger, **of mlflow): without `by_cloche` the
    version carries no policy, like one that somebody trained in a notebook.
    """

    def log(
        model: str = "flight-delay",
        error: float = 0.0,
        *,
        gate: Mapping[str, Any] | None = None,
        holdout: pd.DataFrame | None = None,
        by_cloche: bool = True,
        challenger: bool = True,
        features: list[str] | None = None,
        **options: Any,
    ) -> str:
        rows = make_holdout() if holdout is None else holdout
        if by_cloche:
            options["metadata"] = carried_policy(rows, gate or {})
        folder = save_model(error, features, **options)
        experiment = client.get_experiment_by_name("flights").experiment_id
        run_id = client.create_run(experiment).info.run_id
        if by_cloche:
            rows.to_parquet(tmp_path / "holdout.parquet", index=False)
            client.log_artifact(run_id, str(tmp_path / "holdout.parquet"), "holdout")
            client.log_metric(run_id, "holdout/roc_auc", 0.75)
        client.log_artifacts(run_id, str(folder), "model")
        client.set_terminated(run_id)
        if model not in {found.name for found in client.search_registered_models()}:
            client.create_registered_model(model)
        source = f"{client.get_run(run_id).info.artifact_uri}/model"
        version = str(client.create_model_version(model, source, run_id).version)
        if challenger:
            client.set_registered_model_alias(model, "challenger", version)
        return version

    return log
