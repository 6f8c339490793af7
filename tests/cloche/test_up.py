"""What `cloche up` gives to try, and what `cloche up --check` prints beside its two predictions."""

import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import Model, infer_signature

from cloche.up.command import difference
from cloche.up.samples import rows_to_try
from tests.shelf import empty_store
from tests.stores import stores

ROW = {"label": 0, "score": 0.15994536239210277}


@pytest.mark.parametrize(
    ("batch", "predictor", "told"),
    [
        (ROW, "onnx", False),
        ({**ROW, "score": 0.1599453635050856}, "onnx", True),
        ({**ROW, "score": 0.1599453635050856}, "pyfunc", False),
    ],
)
def test_predictions_that_differ_in_their_last_digits_are_explained(batch, predictor, told):
    said = difference([ROW], batch, predictor)
    assert ("the accelerated twin answers" in said) == told
    assert bool(said) == told


@pytest.mark.parametrize(
    ("holdout", "tried"),
    [
        ({"a": [1.0, None, 3.0], "b": [1.0, 2.0, None]}, [{"a": 1.0, "b": 1.0}]),
        ({"a": [1.0, None], "b": [None, 2.0]}, [{"a": 1.0, "b": None}]),
    ],
)
def test_a_row_to_try_is_whole_if_there_is_one(holdout, tried, tmp_path: Path):
    shutil.copy(empty_store(), tmp_path / "mlflow.db")
    pd.DataFrame(holdout).to_parquet(tmp_path / "holdout.parquet")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("m", (tmp_path / "artifacts").as_uri())
    with stores(client.tracking_uri), mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_artifact(str(tmp_path / "holdout.parquet"))
        (tmp_path / "model").mkdir()
        Model(
            signature=infer_signature(pd.DataFrame({"a": [1.0], "b": [1.0]})),
            metadata={"cloche": {"holdout": {"artifact": "holdout.parquet"}}},
        ).save(tmp_path / "model" / "MLmodel")
        client.create_registered_model("m")
        client.create_model_version("m", str(tmp_path / "model"), run.info.run_id)

        assert rows_to_try("m", "1", 5).request == {"dataframe_records": tried}
