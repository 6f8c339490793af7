"""Finds the version in the registry that a model URI names."""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from cloche.registry.version_listing import versions_of

# The codes of MLflow's errors for a model, version or alias that is not there.
ABSENT = frozenset(map(ErrorCode.Name, (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)))
_REGISTERED = "models:/"


def registered_version(client: MlflowClient, uri: str) -> ModelVersion | None:
    """Return the version that a URI names now; None if it names none of the registry.

    That is a URI of artifacts, of a logged model (`models:/ID`), or of a model without a version.

    Args:
        client: MLflow client for the registry.
        uri: A model URI, by number, alias, MLflow's stage or `latest`, or a URI of artifacts.

    Raises:
        MlflowException: There is no such version, or the registry does not answer.
    """
    if not uri.startswith(_REGISTERED):
        return None
    named = uri.removeprefix(_REGISTERED).strip("/")
    model, slash, value = named.rpartition("/")
    if not slash:
        model, at, alias = named.rpartition("@")
        return client.get_model_version_by_alias(model, alias) if at else None
    if value.isdecimal():
        return client.get_model_version(model, value)
    versions = versions_of(client, model)
    if value.lower() != "latest":
        versions = [v for v in versions if (v.current_stage or "").lower() == value.lower()]
    if not versions:
        raise MlflowException(f"{uri} names no version", RESOURCE_DOES_NOT_EXIST)
    return versions[0]
