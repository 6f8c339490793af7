"""A recipe may name LightGBM or XGBoost: trained, stored without pickle, answered by its twin."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml

from cloche.serving.host.load import load
from cloche.serving.processes.frames import Item
from tests.training.acceleration import zoo

pytestmark = [pytest.mark.slow, pytest.mark.breadth]


@pytest.mark.parametrize("path", ["lightgbm.LGBMClassifier", "xgboost.XGBClassifier"])
def test_a_recipe_of_a_booster_serves_by_its_twin_what_stock_mlflow_answers(path, shell, folder):
    package = path.partition(".")[0]
    zoo.need(package)
    trained = json.loads(
        shell(
            f"cloche train breast-cancer --json --set name={package} --set estimator.class={path}"
            " --set 'estimator.params={n_estimators: 30}'"
        ).stdout
    )
    (holdout,) = folder.glob(f"mlruns/*/{trained['run_id']}/artifacts/holdout/holdout.parquet")
    rows = pd.read_parquet(holdout).drop(columns="benign").head(50)
    (version,) = (
        found.parent
        for found in folder.glob("mlruns/*/models/*/artifacts/MLmodel")
        if yaml.safe_load(found.read_text())["run_id"] == trained["run_id"]
    )

    by_model = mlflow.pyfunc.load_model(str(version)).predict(rows)
    by_twin = answers(version, rows)

    assert not [*version.rglob("*.pkl")]
    assert by_twin["prediction"].tolist() == by_model["prediction"].tolist()
    assert by_twin["probability"].tolist() == pytest.approx(by_model["probability"], abs=1e-6)


def answers(version: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """What a model host says of the rows by the twin."""
    scorer, described = load(version)
    assert described["predictor"] == "onnx"
    body: dict[str, Any] = {"dataframe_split": rows.to_dict(orient="split", index=False)}
    (answer,) = scorer.score([Item("application/json", json.dumps(body).encode())]).answers
    assert answer.status == 200
    return pd.DataFrame(json.loads(answer.body)["predictions"])
