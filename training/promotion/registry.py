"""Reads the registry's entries of one model; an error message lists what exists instead."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry import RegisteredModel as Registered
from mlflow.exceptions import MlflowException

from cloche.registry.version_listing import registered_models, versions_of
from cloche.training.errors import RegistryError
from cloche.training.names import CHALLENGER, PREVIOUS, PRODUCTION
from cloche.values.passwords import without_password

_NAMED = 20


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model's name, aliases and tags, read at one time.

    Attributes:
        tags: Tags of the model, not of its versions.
    """

    name: str
    aliases: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def production(self) -> str | None:
        """Number of the version that serves; None if none does."""
        return self.aliases.get(PRODUCTION)

    @property
    def previous(self) -> str | None:
        """Number of the version that served before; None if none did."""
        return self.aliases.get(PREVIOUS)

    @property
    def challenger(self) -> str | None:
        """Number of the version that is to be promoted; None if there is none."""
        return self.aliases.get(CHALLENGER)


def find_model(client: MlflowClient, name: str) -> RegisteredModel:
    """Read a registered model.

    Raises:
        RegistryError: There is no model of that name.
    """
    try:
        found = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        names = [model.name for model in registered_models(client)]
        there = f"there are {join_names(names)}" if names else "the registry is empty"
        where = without_password(str(client._registry_uri))
        raise RegistryError(f"no registered model {name!r} in {where}; {there}") from None
    return as_model(found)


def as_model(found: Registered) -> RegisteredModel:
    """Convert MLflow's entity of a registered model."""
    aliases = {alias: str(version) for alias, version in found.aliases.items()}
    return RegisteredModel(found.name, aliases, found.tags)


def find_version(client: MlflowClient, model: str, number: str) -> ModelVersion:
    """Read a version.

    Raises:
        RegistryError: There is no version of that number.
    """
    try:
        return client.get_model_version(model, number)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        numbers = [str(version.version) for version in versions_of(client, model)]
        there = f"there are {join_names(numbers)}" if numbers else "it has none"
        raise RegistryError(f"{model} has no version {number}; {there}") from None


def join_names(names: Iterable[str]) -> str:
    """Return names for a message, up to the number that a person reads."""
    shown = list(names)
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more
