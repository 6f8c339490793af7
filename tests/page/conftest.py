import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import shell
from tests.lifecycle.registry import Registry
from tests.online import Server, serving
from tests.page.names import COMMENTS, FLIGHTS

KITCHEN = Path(__file__).parent / "kitchen.py"
KEY = "a-key"


@pytest.fixture(scope="package")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Two models with the alias, one of which has a version more."""
    registry = Registry(tmp_path_factory.mktemp("page"))
    command = [sys.executable, KITCHEN, registry.uri, registry.directory / "artifacts"]
    # the runs' artifacts lie in the working directory
    subprocess.run(
        command, check=True, capture_output=True,
        cwd=registry.directory, env=shell.environment() | {"PYTHONPATH": str(KITCHEN.parents[2])},
    )  # fmt: skip
    registry.promote("1", FLIGHTS)
    registry.promote("1", COMMENTS)
    return registry


@pytest.fixture(scope="package")
def server(registry: Registry) -> Iterator[Server]:
    """Serves both to everybody."""
    with serving(
        "--all", directory=registry.directory, environment={"MLFLOW_TRACKING_URI": registry.uri}
    ) as server:
        yield server.wait_until_ready()


@pytest.fixture(scope="package")
def guarded(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves one of them to who has the key."""
    with serving(
        f"models:/{COMMENTS}@production", directory=tmp_path_factory.mktemp("guarded"),
        environment={"MLFLOW_TRACKING_URI": registry.uri, "CLOCHE_API_KEYS": KEY},
    ) as server:  # fmt: skip
        yield server.wait_until_ready()
