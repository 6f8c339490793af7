"""The registry behind a deployment: which version a URI means, and where its alias stands."""

import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE

from cloche.serving.errors import ModelUriError, RegistryUnreachable, ServingError, VersionRefused
from cloche.serving.registry.names import PRODUCTION
from cloche.serving.registry.resolving import Resolver
from cloche.serving.registry.uri import Reference, parse, with_alias


class Versions:
    """The registry that MLflow is set to use."""

    def __init__(self) -> None:
        self._client = MlflowClient()
        self._resolver = Resolver(lambda: self._client)

    def find(self, name: str, uri: str) -> str:
        """The number of the version of model `name` behind a URI.

        What is in no registry yet, like `runs:/RUN/model`, becomes a version of `name`.

        Raises:
            MlflowException: There is none, or it belongs to another registered model.
        """
        with _told():
            parsed = parse(uri)
            if parsed.reference is not Reference.ARTIFACTS:
                if parsed.model != name:
                    raise MlflowException.invalid_parameter_value(
                        f"{uri} is a version of {parsed.model}, and a server serves it under that "
                        f"name: --name {shlex.quote(parsed.model)}"
                    )
                return self._resolver.resolve(parsed).version
        return str(mlflow.register_model(uri, name).version)

    def deployed(self, name: str, alias: str) -> str | None:
        """The number of the version with an alias; None if there is none."""
        with _told():
            try:
                return self._resolver.resolve(with_alias(name, alias)).version
            except VersionRefused:
                return None

    def names(self, alias: str) -> list[str]:
        """All registered models that have an alias."""
        with _told():
            return sorted(self._resolver.versions_with_alias(alias))

    def move(self, name: str, alias: str, version: str) -> None:
        """Let an alias other than `production`, which is the gate's, name a version."""
        self._client.set_registered_model_alias(name, alias, version)

    def remove(self, name: str, alias: str) -> None:
        """Take the alias away, and the stage that mirrors it; nothing happens where it is gone."""
        version = self.deployed(name, alias)
        if version is None:
            return
        self._client.delete_registered_model_alias(name, alias)
        if alias == PRODUCTION:
            self._archive(name, version)

    def _archive(self, name: str, version: str) -> None:
        transition = getattr(self._client, "transition_model_version_stage", None)
        if transition is None:
            return
        with warnings.catch_warnings(), suppress(MlflowException):  # a store may have no stages
            warnings.simplefilter("ignore", FutureWarning)
            transition(name, version, "Archived")


@contextmanager
def _told() -> Iterator[None]:
    """Translate our errors into MLflow's."""
    try:
        yield
    except ModelUriError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from error
    except RegistryUnreachable as error:
        raise MlflowException(str(error), error_code=TEMPORARILY_UNAVAILABLE) from error
    except ServingError as error:
        raise MlflowException(str(error), error_code=RESOURCE_DOES_NOT_EXIST) from error
