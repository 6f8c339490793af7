"""Lists the models and versions in the registry, and gives access to a version's files.

Names are passed as values where possible: MLflow reads a `?` or a line end in `models:/NAME/N` as
the end of the name, and a quote in a filter as the end of the filter.

An empty list is accepted only if another request shows that the registry works: incompatible
servers, proxies and web pages give an empty list, too.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

# These registries give the credentials of their stores only to MLflow's class for `models:/`; the
# names in them are valid in such a URI.
_CATALOGS = ("databricks", "uc:")
# MLflow's client excludes prompts by a filter on their tag. For it servers before 2.21 return an
# empty list, unless the filter names the tag itself. Servers with prompts exclude them anyway.
_EVERY_MODEL = f"name != '{IS_PROMPT_TAG_KEY}'"
_PAGE = 1000
# The keys under which flavors in an MLmodel file name the files beside it.
_FILE_KEYS = frozenset(
    {"artifact_path", "code", "conda", "data", "model_code_path", "model_data", "model_path"}
    | {"path", "pickled_model", "python_model", "serving_input_path", "virtualenv"}
)
_FILE = re.compile(r"(?![/.])[\w./-]+")
_NOBODY = "cloche.nobody"
# Error codes that only a registry returns for an absent or a forbidden model.
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED")


class CannotList(MlflowException):
    """The registry does not list its content; the message says what to do."""


def registered_models(client: MlflowClient) -> list[RegisteredModel]:
    """List all registered models in the order of their names, with their aliases.

    Raises:
        CannotList: The registry has models but lists none, or the server is no registry.
    """
    asked = _EVERY_MODEL if str(client._registry_uri).startswith("http") else None
    found: list[RegisteredModel] = []
    token = None
    while True:
        page = client.search_registered_models(asked, max_results=_PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            break
    if not found:
        _verify_empty(client)
    return sorted(found, key=lambda model: model.name)


def versions_with_alias(client: MlflowClient, alias: str) -> dict[str, str]:
    """Map the name of each registered model with `alias` to the number of its version.

    Raises:
        CannotList: The registry has models or aliases but lists none, or the server is no registry.
    """
    models = registered_models(client)
    found = {model.name: str(model.aliases[alias]) for model in models if alias in model.aliases}
    if not found:
        name = models[0].name if models else _NOBODY
        try:
            client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
        else:
            raise CannotList(
                f"The registry lists no aliases, though {name}@{alias} is there: its MLflow is too "
                f"old to list them for this client (MLflow {mlflow.__version__}). Name the models: "
                f"models:/NAME@{alias}"
            )
    return found


def _verify_empty(client: MlflowClient) -> None:
    """Check an empty list by a search for any version and a request for an unknown model."""
    for version in client.search_model_versions(max_results=1):
        raise CannotList(
            f"The registry lists no models, though it has {version.name} version "
            f"{version.version}: its MLflow cannot list them for this client (MLflow "
            f"{mlflow.__version__}), or this user may read none of them. Name the models, like "
            f"models:/{version.name}/{version.version}, or upgrade the server."
        )
    try:
        client.get_registered_model(_NOBODY)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
    else:
        raise CannotList(
            "What answers as the registry knows a model that nobody made: it is no MLflow server. "
            "Name another in MLFLOW_TRACKING_URI."
        )


def versions_of(client: MlflowClient, name: str, most: int | None = None) -> list[ModelVersion]:
    """List the versions of a registered model, the newest first; at most `most`, or all."""
    quote = '"' if "'" in name else "'"  # MLflow's filters have no escape characters
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(
            None if quote in name else f"name = {quote}{name}{quote}",
            max_results=most or _PAGE, order_by=["version_number DESC"], page_token=token,
        )  # fmt: skip
        found += [version for version in page if version.name == name]
        token = page.token
        if not token or (most and len(found) >= most):
            return sorted(found, key=lambda version: -int(version.version))[:most]


def files_of(name: str, version: str) -> ArtifactRepository:
    """Return the artifact repository of a version in the registry that MLflow is set to use."""
    if mlflow.get_registry_uri().startswith(_CATALOGS):
        return get_artifact_repository(f"models:/{name}/{version}")
    return get_artifact_repository(MlflowClient().get_model_version_download_uri(name, version))


def missing_files(folder: Path) -> list[str]:
    """List the files that the MLmodel in a folder names and that do not exist.

    An MLmodel also names files that a model does not need, so the list explains why a version's
    digest differs, but is no reason to refuse a version.
    """
    try:
        named = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError):
        return ["MLmodel"]
    paths = {
        text for part in ("saved_input_example_info", "flavors") for text in _texts(named.get(part))
    }
    return sorted(text for text in paths if _FILE.fullmatch(text) and not (folder / text).exists())


def _texts(found: object) -> Iterator[str]:
    """Yield all strings in a document under a key that names a file."""
    for key, value in found.items() if isinstance(found, dict) else ():
        if isinstance(value, str) and key in _FILE_KEYS:
            yield value
        yield from _texts(value)
