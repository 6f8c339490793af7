"""The registry's part of a deployment: resolution of model URIs, and changes of aliases."""

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
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import Reference, parse, with_alias


class Versions:
    """The versions and aliases in the registry that MLflow is set to use."""

    def __init__(self) -> None:
        self._client = MlflowClient()
        self._resolver = Resolver(lambda: self._client)

    def find(self, name: str, uri: str) -> str:
        """Return the number of the version of model `name` to which a URI resolves.

        A model outside the registry, like `runs:/RUN/model`, is registered as a version of `name`.

        Raises:
            MlflowException: No version exists, or it belongs to another registered model.
        """
        with _as_mlflow_errors():
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
        """Return the number of the version with an alias; None without such a version."""
        with _as_mlflow_errors():
            try:
                return self._resolver.resolve(with_alias(name, alias)).version
            except VersionRefused:
                return None

    def names(self, alias: str) -> list[str]:
        """Return the names of all registered models that have an alias."""
        with _as_mlflow_errors():
            return sorted(self._resolver.versions_with_alias(alias))

    def move(self, name: str, alias: str, version: str) -> None:
        """Move an alias to a version; `production` is moved by `command.promote` instead."""
        self._client.set_registered_model_alias(name, alias, version)

    def remove(self, name: str, alias: str) -> None:
        """Remove an alias, if it exists; with `production`, also the stage that mirrors it."""
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
        with warnings.catch_warnings(), suppress(MlflowException):  # some stores have no stages
            warnings.simplefilter("ignore", FutureWarning)
            transition(name, version, "Archived")


@contextmanager
def _as_mlflow_errors() -> Iterator[None]:
    """Translate Cloche's errors in the block into MLflow's."""
    try:
        yield
    except ModelUriError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from error
    except RegistryUnreachable as error:
        raise MlflowException(str(error), error_code=TEMPORARILY_UNAVAILABLE) from error
    except ServingError as error:
        raise MlflowException(str(error), error_code=RESOURCE_DOES_NOT_EXIST) from error
