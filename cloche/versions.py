"""Registered versions by their name and number: what the registry lists, and the files it keeps.

Names are values here. MLflow reads a `?` or a line end in `models:/NAME/N` as the end of the name,
and a quote in a filter as the end of the filter.
"""

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

# They give the keys of their stores to MLflow's class for `models:/` only, and their names fit it.
_CATALOGS = ("databricks", "uc:")


def versions_of(client: MlflowClient, name: str, most: int | None = None) -> list[ModelVersion]:
    """The versions of a registered model, the newest first.

    Args:
        client: of the registry.
        name: of the model.
        most: how many are wanted; all by default.
    """
    quote = '"' if "'" in name else "'"  # MLflow's filters know no escapes
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(
            None if quote in name else f"name = {quote}{name}{quote}",
            max_results=most or 1000, order_by=["version_number DESC"], page_token=token,
        )  # fmt: skip
        found += [version for version in page if version.name == name]
        token = page.token
        if not token or (most and len(found) >= most):
            return sorted(found, key=lambda version: -int(version.version))[:most]


def files_of(name: str, version: str) -> ArtifactRepository:
    """Where the artifacts of a version are, in the registry that MLflow is set to use."""
    if mlflow.get_registry_uri().startswith(_CATALOGS):
        return get_artifact_repository(f"models:/{name}/{version}")
    return get_artifact_repository(MlflowClient().get_model_version_download_uri(name, version))
