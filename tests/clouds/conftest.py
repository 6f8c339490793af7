import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm
from tests.online import wait_for
from tests.protocol.contenders import MlflowServer, mlflow_server

MAKE_MODELS = Path(__file__).parent / "make_models.py"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with a number, a text and a parameter."""
    path = tmp_path_factory.mktemp("deployed") / "model"
    subprocess.run([warm.python(), MAKE_MODELS, path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def mlflow(model: Path) -> Iterator[MlflowServer]:
    """`mlflow models serve` with the same model."""
    with mlflow_server(model) as server:
        wait_for(server.is_ready)
        yield server
