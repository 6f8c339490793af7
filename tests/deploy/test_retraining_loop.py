"""The loop by itself, under cron: an alarm, a training, the gate, a rollout, and no alarm."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.deploy.conftest import DEPLOY
from tests.deploy.cron import require_cron, running_cron
from tests.online import Load, serving, wait_for
from tests.shelf import copy_empty_store
from tests.shell import environment
from tests.training.monitor.logs import DAY, write_labels, write_predictions

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("retraining_loop")]

CRONTAB = DEPLOY / "cron" / "retraining"
SCHEDULE = "0 6 * * *"
MODEL = "parcel-delay"
RECIPE = """
name: parcel-delay
task: binary
data: {source: history.csv}
target: late
split: {by: fraction, holdout: 0.5}
columns: {numeric: [distance, weight]}
estimator: {class: sklearn.linear_model.LogisticRegression}
metrics: [roc_auc]
gate: {not_worse: {margin: 0.0}}
rollout: {steps: [50], at_least: {minutes: 0, requests: 30}, failures: {margin: 0.2}, slow: null}
"""
TODAY = pd.Timestamp.now("UTC").normalize().tz_localize(None)
DAYS, ROWS = 14, 600  # of the log, and of each of its days
CHANGED = 7  # days ago, since when long ways are the fast ones
LEARNED, JUDGED = 4, 3  # days, all of them after the change


def parcels(rows: int, seed: int, *, sign: float = 1.0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(rows, 2)), columns=["distance", "weight"])
    chance = 1 / (1 + np.exp(-(2 * sign * frame["distance"] + frame["weight"])))
    return frame.assign(late=(generator.random(rows) < chance).astype(int))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A version in production that was trained three weeks ago, and the script of the loop."""
    copy_empty_store(tmp_path / "mlflow.db")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    parcels(20_000, 0).to_csv(tmp_path / "history.csv", index=False)
    shutil.copy(DEPLOY / "daily" / "retrain", tmp_path)
    subprocess.run(
        ["cloche", "train", "recipe.yaml"], cwd=tmp_path, check=True,
        env=environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"},
    )  # fmt: skip
    client(tmp_path).set_registered_model_alias(MODEL, "production", "1")
    weeks = int(timedelta(weeks=3) / timedelta(milliseconds=1))
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE model_versions SET creation_time = creation_time - ?", [weeks])
        database.execute("UPDATE runs SET start_time = start_time - ?", [weeks])
    return tmp_path


def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def log_day(folder: Path, version: str, ago: int, rows: pd.DataFrame) -> None:
    """Log rows that a version was asked so many days ago, and their truth of the evening."""
    sign = -1.0 if version == "2" else 1.0
    chance = 1 / (1 + np.exp(-(2 * sign * rows["distance"] + rows["weight"])))
    at = pd.Series(TODAY - ago * DAY + pd.to_timedelta(np.arange(len(rows)) * 60, unit="s"))
    ids = pd.Series([f"{version}-{ago}-{nth}" for nth in range(len(rows))])
    write_predictions(
        folder / "log", MODEL, version, times=at, ids=ids, inputs=rows[["distance", "weight"]],
        outputs=pd.DataFrame({"prediction": (chance > 0.5).astype(int), "probability": chance}),
    )  # fmt: skip
    arrived = pd.Series([TODAY - ago * DAY + timedelta(hours=23)] * len(rows))
    write_labels(folder / "log", MODEL, ids=ids, labels=rows["late"], arrived=arrived)


def test_an_alarm_ends_with_a_better_version_and_nobody_has_done_anything(folder, tmp_path_factory):
    require_cron()
    for ago in range(DAYS, 0, -1):
        log_day(folder, "1", ago, parcels(ROWS, ago, sign=-1.0 if ago <= CHANGED else 1.0))
    settings = {
        "MODEL": MODEL, "RECIPE": "recipe.yaml", "CLOCHE_LOG": f"{folder}/log",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "LEARNED_DAYS": LEARNED,
        "JUDGED_DAYS": JUDGED, "XDG_CACHE_HOME": f"{folder}/cache",
    }  # fmt: skip
    text = CRONTAB.read_text()
    assert SCHEDULE in text
    text = text.replace("MODEL=flight-delay\n", "").replace("/srv/flights", str(folder))
    text = text.replace("/srv/cloche/bin", str(Path(sys.executable).parent))
    head = "".join(f"{name}={value}\n" for name, value in settings.items())
    crontab = head + text.replace(SCHEDULE, "* * * * *")
    variables = {"MLFLOW_TRACKING_URI": settings["MLFLOW_TRACKING_URI"]}
    body = {"dataframe_records": [{"distance": 0.0, "weight": 0.0}]}
    with serving(f"models:/{MODEL}@production", directory=folder, environment=variables) as server:
        server.wait_until_ready()
        with (
            Load(server, clients=2, body=body) as load,
            running_cron(tmp_path_factory.mktemp("view"), crontab) as mails,
        ):
            wait_for(lambda: server.version(MODEL) == "2", seconds=400)
            # the next morning, on which people were answered by the new version
            log_day(folder, "2", 0, parcels(ROWS, 100, sign=-1.0))
            wait_for(lambda: told(folder) == {"last_day": f"{TODAY:%F}", "alarms": 0}, seconds=200)
        assert not load.failures
    assert list(mails.iterdir()) == []
    registry = client(folder)
    assert registry.get_registered_model(MODEL).aliases == {"production": 2, "previous": 1}
    run = registry.get_run(registry.get_model_version(MODEL, "2").run_id)
    assert f"log:{MODEL}?" in run.inputs.dataset_inputs[0].dataset.source


def told(folder: Path) -> dict[str, object]:
    """The last day that was looked at, and its alarms, as servers are told of them."""
    tag = client(folder).get_registered_model(MODEL).tags.get("cloche.monitor", "{}")
    return {key: json.loads(tag).get(key) for key in ("last_day", "alarms")}
