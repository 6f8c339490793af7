"""Models of every framework, none of them trained by Cloche: promoted, served and scored."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from mlflow import MlflowClient

from tests import warm
from tests.flavors.catalog import FRAMEWORKS, Save, needs
from tests.flavors.make_models import NAMES, TARGET, table
from tests.online import Server, serving
from tests.shelf import copy_empty_store
from tests.shell import environment

pytestmark = [pytest.mark.slow, pytest.mark.breadth]  # a pyfunc is what all other tests serve

POLICY = f"""
task: binary
target: {TARGET}
metrics: [accuracy]
data: {{source: table.csv}}
gate: {{minimum: {{accuracy: 0.8}}}}
"""
ROWS = table(20)[NAMES]


class Shop:
    """A registry with the models of one framework as version 1 each, and the commands for it."""

    def __init__(self, directory: Path, models: Path) -> None:
        self.directory = directory
        copy_empty_store(directory / "mlflow.db")
        self.variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{directory / 'mlflow.db'}"}
        self.client = MlflowClient(self.variables["MLFLOW_TRACKING_URI"])
        for path in models.iterdir():
            self.client.create_registered_model(path.name)
            self.client.create_model_version(path.name, source=str(path))
        table().to_csv(directory / "table.csv", index=False)
        ROWS.assign(id=[f"row {at}" for at in ROWS.index]).to_csv(
            directory / "rows.csv", index=False
        )
        (directory / "gate.yaml").write_text(POLICY)

    def cloche(self, *arguments: str) -> str:
        """What a command of Cloche prints."""
        done = subprocess.run(
            [warm.python(), "-m", "cloche", *arguments],
            cwd=self.directory, env=environment() | self.variables, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def serving(self) -> Iterator[Server]:
        """A server of everything that is in production."""
        with serving("--all", directory=self.directory, environment=self.variables) as server:
            yield server.wait_until_ready()


@pytest.fixture(scope="module")
def shop(
    request: pytest.FixtureRequest, save: Save, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """All models of a framework in production."""
    shop = Shop(tmp_path_factory.mktemp("shop"), save(request.param))
    for model in FRAMEWORKS[request.param].models:
        shop.cloche("promote", model, "--version", "1", "--policy", "gate.yaml")
    return shop


@pytest.fixture(scope="module")
def server(shop: Shop) -> Iterator[Server]:
    with shop.serving() as running:
        yield running


each_model = pytest.mark.parametrize(
    ("shop", "model"),
    [
        pytest.param(
            name, model, id=model, marks=[pytest.mark.xdist_group(f"protocol-{name}"), *needs(name)]
        )
        for name, framework in FRAMEWORKS.items()
        for model in framework.models
    ],
    indirect=["shop"],
    scope="module",
)


@each_model
def test_the_gate_reads_what_it_predicts(shop: Shop, model: str) -> None:
    version = shop.client.get_model_version_by_alias(model, "production")
    evidence = shop.client.get_run(version.tags["cloche.gate_run_id"])
    assert version.tags["cloche.gate"] == "passed"
    assert evidence.data.metrics["candidate/accuracy"] > 0.8


@each_model
def test_a_server_and_a_batch_job_predict_the_same(shop: Shop, server: Server, model: str) -> None:
    body = {"dataframe_split": {"columns": NAMES, "data": ROWS.to_numpy().tolist()}}
    answer = requests.post(f"{server.url}/models/{model}/invocations", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    output = f"{model}.parquet"
    shop.cloche(
        "score", f"models:/{model}@production", "rows.csv", output,
        "--id-column", "id", "--workers", "1", "--no-track",
    )  # fmt: skip
    scored = pd.read_parquet(shop.directory / output)

    assert scored.pop("id").tolist() == [f"row {at}" for at in ROWS.index]
    np.testing.assert_allclose(
        _matrix(answer.json()["predictions"]), _matrix(scored.to_dict("list")), rtol=1e-6
    )


def _matrix(predictions: Any) -> Any:
    """Predictions of any form as numbers, rows first."""
    if isinstance(predictions, dict):
        return np.column_stack([np.array(list(column)) for column in predictions.values()])
    rows = [list(row.values()) if isinstance(row, dict) else row for row in predictions]
    return np.array(rows).reshape(len(rows), -1)


@each_model
def test_its_host_draws_no_bar_for_each_prediction(server: Server, model: str) -> None:
    assert "━" not in server.log.read_text()
