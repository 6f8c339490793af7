"""A registry for tests to steer, and the type of what starts servers that follow it."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from tests import shell
from tests.online import Server

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
        return MlflowClient(self.uri, self.uri)

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
        subprocess.run(command, check=True, capture_output=True, env=shell.environment())

    def artifacts(self, version: str, model: str = "m") -> Path:
        return self.directory / "artifacts" / model / version

    def promote(self, version: str, model: str = "m", alias: str = "production") -> None:
        self.client.set_registered_model_alias(model, alias, version)


Serve = Callable[..., Server]
