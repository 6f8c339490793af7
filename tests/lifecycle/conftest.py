import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from online import Server, serving

KITCHEN = Path(__file__).parent / "kitchen.py"


@dataclass
class Registry:
    """An MLflow registry in a file of its own."""

    directory: Path

    @property
    def database(self) -> Path:
        return self.directory / "mlflow.db"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.database}"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def register(self, *behaviours: str, model: str = "m") -> None:
        """One more version of `model` for each behaviour."""
        command = [
            sys.executable,
            KITCHEN,
            self.uri,
            self.directory / "artifacts",
            model,
            *behaviours,
        ]
        subprocess.run(command, check=True, capture_output=True)

    def artifacts(self, version: str, model: str = "m") -> Path:
        return self.directory / "artifacts" / model / version

    def promote(self, version: str, model: str = "m", alias: str = "production") -> None:
        self.client.set_registered_model_alias(model, alias, version)


Serve = Callable[..., Server]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


@pytest.fixture
def serve(registry: Registry) -> Iterator[Serve]:
    """Starts servers that follow the registry; they end with the test."""
    with ExitStack() as stack:

        def start(*arguments: str, **environment: str) -> Server:
            models = () if "--all" in arguments else ("models:/m@production",)
            running: AbstractContextManager[Server] = serving(
                *models, *arguments, directory=registry.directory,
                environment={"MLFLOW_TRACKING_URI": registry.uri, **environment},
            )  # fmt: skip
            return stack.enter_context(running)

        yield start
