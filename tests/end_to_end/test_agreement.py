"""Every way to score gives every flight of two live days the same answer.

A way is a function from the rows to predictions: one more is one more entry in `WAYS`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests import spark
from tests.online import serving
from tests.shell import Shell
from tests.stores import stores

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("agreement")]

MODEL = "models:/flight-delay@production"
FLIGHTS = "november.csv"
_NO_FEATURES = ("flight_id", "flight_date", "scheduled_departure")  # the twin takes no others
_AT_ONCE = 10  # rows of a request; one that the twin is not sure of leaves all to the model
# Two weeks in late summer instead of eight months, and few trees: the recipe's columns and kinds.
SMALL = (
    "cloche train flights --set search.trials=1 --set estimator.params.max_iter=10"
    " --set 'split.train=[2013-08-01, 2013-08-14]' --set 'split.holdout=[2013-08-15, 2013-08-18]'"
)


@dataclass(frozen=True)
class Desk:
    """Where the flights lie, and the shell of a user who works there."""

    folder: Path
    shell: Shell

    def answers(self, file: str) -> pd.DataFrame:
        return pd.DataFrame(json.loads((self.folder / file).read_text())["predictions"])


@pytest.fixture(scope="module")
def desk(folder: Path, shell: Shell) -> Desk:
    shell(f"cloche sample flights --from 2013-11-01 --to 2013-11-02 --without-target {FLIGHTS}")
    shell(SMALL)
    store = f"sqlite:///{folder}/mlflow.db"
    MlflowClient(store, store).set_registered_model_alias("flight-delay", "production", "1")
    return Desk(folder, shell)


@pytest.fixture(scope="module")
def reference(desk: Desk) -> pd.DataFrame:
    """What MLflow's pyfunc says of all rows at once."""
    with stores(f"sqlite:///{desk.folder}/mlflow.db"):
        answer: pd.DataFrame = mlflow.pyfunc.load_model(MODEL).predict(
            pd.read_csv(desk.folder / FLIGHTS)
        )
    return answer


def by_mlflow(desk: Desk, *_: str) -> pd.DataFrame:
    desk.shell(
        f"mlflow models predict --env-manager local -m {MODEL} -i {FLIGHTS} -t csv -o stock.json"
    )
    return desk.answers("stock.json")


def by_batch(desk: Desk, *options: str) -> pd.DataFrame:
    command = " ".join([f"cloche score {MODEL} {FLIGHTS} scores.parquet --overwrite", *options])
    desk.shell(f"{command} --part-rows 500 --cache-dir cache")
    return pd.read_parquet(desk.folder / "scores.parquet")


def by_spark(desk: Desk, *_: str) -> pd.DataFrame:
    spark.needed()
    desk.shell(
        f"cloche score {MODEL} {FLIGHTS} spark/ --overwrite --part-rows 500 --cache-dir cache"
        " --engine spark --spark-master 'local[2]'"
    )
    parts = sorted((desk.folder / "spark").glob("*.parquet"))
    return pd.concat(map(pd.read_parquet, parts), ignore_index=True)


def online(desk: Desk, *options: str) -> pd.DataFrame:
    rows = pd.read_csv(desk.folder / FLIGHTS).drop(columns=list(_NO_FEATURES))
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{desk.folder}/mlflow.db"}
    answers = []
    with serving(MODEL, *options, directory=desk.folder, environment=store) as server:
        server.wait_until_ready()
        for start in range(0, len(rows), _AT_ONCE):
            piece = rows[start : start + _AT_ONCE].astype(object)
            split = piece.where(piece.notna(), None).to_dict(orient="split", index=False)
            answers += server.get_predictions({"dataframe_split": split})
    return pd.DataFrame(answers)


WAYS: dict[str, tuple[Callable[..., pd.DataFrame], tuple[str, ...]]] = {
    "mlflow models predict": (by_mlflow, ()),
    "cloche score": (by_batch, ()),
    "cloche score by the model": (by_batch, ("--no-acceleration",)),
    "cloche score on Spark": (by_spark, ()),
    "cloche serve": (online, ()),
    "cloche serve by the model": (online, ("--no-acceleration",)),
}
LARGER = {"cloche score on Spark", "cloche serve by the model"}  # than it takes to prove it once
BY_TWIN = {"cloche score", "cloche score on Spark", "cloche serve"}


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, marks=pytest.mark.breadth if way in LARGER else ()) for way in WAYS],
)
def test_every_flight_gets_the_same_answer(way: str, desk: Desk, reference: pd.DataFrame):
    ask, options = WAYS[way]

    found = ask(desk, *options)

    assert len(found) == len(reference) > 1500
    assert found["prediction"].tolist() == reference["prediction"].tolist()
    scores, expected = found["probability"].to_numpy(), reference["probability"].to_numpy()
    if way in BY_TWIN:
        (twin,) = desk.folder.glob("mlruns/**/onnx/twin.json")
        tolerance = json.loads(twin.read_text())["tolerance"]
        assert np.abs(scores - expected).max() <= tolerance
        assert (scores != expected).any(), "the twin did not answer"
    else:
        assert scores.tolist() == expected.tolist()
