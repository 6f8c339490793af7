"""A registry for tests to steer, and the type of what starts servers that follow it."""

import functools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from cloche.serving.host.codecs.open_inference.messages import message
from tests.lifecycle import make_models
from tests.online import Server, serving
from tests.shelf import empty_store, shelf


@functools.cache
def saved(number: int, behaviour: str) -> Path:
    """A version, saved when a test of this process asks for it first."""
    path = shelf() / f"{number} {behaviour}"
    make_models.save(path, number, behaviour)
    return path


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

    def register(self, *behaviours: str, model: str = "m", promote: bool = False) -> None:
        """One more version of `model` for each behaviour; `promote` has version 1 in production."""
        if not self.database.exists():
            shutil.copy(empty_store(), self.database)
        client = self.client
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model)
        there = len(client.search_model_versions(f"name = '{model}'"))
        for number, behaviour in enumerate(behaviours, there + 1):
            path = self.artifacts(str(number), model)
            shutil.copytree(saved(number, behaviour), path)
            client.create_model_version(model, source=str(path))
        if promote:
            self.promote("1", model)

    def artifacts(self, version: str, model: str = "m") -> Path:
        return self.directory / "artifacts" / model / version

    def promote(self, version: str, model: str = "m", alias: str = "production") -> None:
        self.client.set_registered_model_alias(model, alias, version)


Serve = Callable[..., Server]


def infer_request(model: str = "m", value: float = 0.0) -> bytes:
    """A message that asks a model over gRPC for the prediction of one row."""
    asked = message("ModelInferRequest")(model_name=model)
    asked.inputs.add(name="a", datatype="FP64", shape=[1]).contents.fp64_contents.append(value)
    body: bytes = asked.SerializeToString()
    return body


@contextmanager
def serving_production(
    directory: Path, *arguments: str, behaviour: str = "", **environment: str
) -> Iterator[Server]:
    """A ready server of version 1 of `m`, which has this behaviour, with a registry of its own."""
    registry = Registry(directory)
    registry.register(behaviour, promote=True)
    with serving(
        "models:/m@production", *arguments, directory=directory,
        environment={"MLFLOW_TRACKING_URI": registry.uri, **environment},
    ) as server:  # fmt: skip
        yield server.wait_until_ready()
