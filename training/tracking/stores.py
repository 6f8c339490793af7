"""Checks that MLflow's stores can store the results of a training, before any data is read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException

from cloche.registry.connect_timeout import require_stores
from cloche.training.errors import ClocheError, RegistryError
from cloche.training.recipe.schema import Recipe
from cloche.values.passwords import without_password

# A tag that does not exist: deleting it checks the permission to write, and changes nothing.
_NOTHING = "cloche.nothing"
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND")
_VERSION_SECONDS = 5.0
_SCHEMES = (
    "http", "https", "sqlite", "postgresql", "mysql", "mssql", "file", "databricks",
    "databricks-uc", "uc",
)  # fmt: skip
_PLUGINS = ("mlflow.tracking_store", "mlflow.model_registry_store")  # groups of entry points
_WHOLE_ADDRESSES = ("databricks", "databricks-uc", "uc")


def check_stores(recipe: Recipe) -> None:
    """Check everything that the training will need from the stores, without writing anything.

    Raises:
        RegistryError: Something is missing; the message says what, and what to do.
        MlflowException: The server does not answer, or does not let this user write.
    """
    _check_addresses()
    require_stores(to_write=True)
    client = MlflowClient()
    experiment = _experiment(client, recipe)
    if experiment is not None and experiment.lifecycle_stage == LifecycleStage.DELETED:
        raise RegistryError(
            f"the experiment {experiment.name!r} was deleted, and its name is taken still: mlflow "
            f"experiments restore --experiment-id {experiment.experiment_id}"
        )
    _check_logged_models(client, experiment.experiment_id if experiment else "0")
    with _absent():
        if experiment is not None:
            client.delete_experiment_tag(experiment.experiment_id, _NOTHING)
    with _absent():
        client.delete_registered_model_tag(recipe.name, _NOTHING)


@contextmanager
def artifact_store_errors(kind: type[Exception]) -> Iterator[None]:
    """Turn an error of the artifact store into one sentence; each store raises its own errors.

    Args:
        kind: Type of the errors that count as such; `OSError` if the context does other work as
            well.

    Raises:
        RegistryError: An error of this type was raised.
    """
    try:
        yield
    except (ClocheError, MlflowException):
        raise
    except kind as error:
        run = mlflow.active_run()
        where = without_password(run.info.artifact_uri) if run else "of the run"
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RegistryError(
            f"the artifact store {where} cannot be written: {reason}. Make room there or grant the "
            "right to write, and train again; `cloche doctor` looks at the rest"
        ) from error


def _experiment(client: MlflowClient, recipe: Recipe) -> Experiment | None:
    """Return the experiment that the run will belong to; None if it is yet to be created."""
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        with _named_by_environment("MLFLOW_RUN_ID", f"the run {run_id!r}", "a run of its own"):
            info = client.get_run(run_id).info
        if info.lifecycle_stage == LifecycleStage.DELETED:
            raise RegistryError(
                f"MLFLOW_RUN_ID names the run {run_id!r}, which was deleted: unset MLFLOW_RUN_ID, "
                f"and the training gets a run of its own, or mlflow runs restore --run-id {run_id}"
            )
        return client.get_experiment(info.experiment_id)
    if name := os.environ.get("MLFLOW_EXPERIMENT_NAME"):
        return client.get_experiment_by_name(name)
    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        what = f"the experiment {number!r}"
        with _named_by_environment("MLFLOW_EXPERIMENT_ID", what, f"the experiment {recipe.name!r}"):
            return client.get_experiment(number)
    return client.get_experiment_by_name(recipe.name)


@contextmanager
def _named_by_environment(variable: str, what: str, instead: str) -> Iterator[None]:
    """Report which variable names an object that the store does not have.

    Databases refuse some such ids as invalid.

    Raises:
        RegistryError: The store has no such object.
    """
    try:
        yield
    except MlflowException as error:
        if error.error_code not in (*_NOT_THERE, "INVALID_PARAMETER_VALUE"):
            raise
        where = without_password(mlflow.get_tracking_uri())
        raise RegistryError(
            f"{variable} names {what}, and {where} has none of that id: unset {variable}, and the "
            f"training gets {instead}, or name another in it or in MLFLOW_TRACKING_URI"
        ) from error


def _check_addresses() -> None:
    """Report which variable contains an invalid address; MLflow takes some of them for folders.

    Raises:
        RegistryError: An address is invalid; the message has the variable, its value, and examples.
    """
    schemes = {
        *_SCHEMES,
        *(found.name for group in _PLUGINS for found in entry_points(group=group)),
    }
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        uri = os.environ.get(variable, "")
        scheme, mark, _ = uri.partition("://")
        known = scheme.partition("+")[0] in schemes
        if not uri or (mark and known) or uri in _WHOLE_ADDRESSES:
            continue
        if not mark and (Path(uri).is_dir() or uri.startswith((".", "/", "file:", "~"))):
            continue  # a folder, for which MLflow's own message says what to do
        raise RegistryError(
            f"{variable} is {without_password(uri)!r}, which is no address of a registry: expected "
            "one like http://HOST:5000, sqlite:///mlflow.db or postgresql://USER@HOST/NAME"
        )


def _check_logged_models(client: MlflowClient, experiment: str) -> None:
    try:
        client.search_logged_models(experiment_ids=[experiment], max_results=1)
    except MlflowException as error:
        if error.error_code != "ENDPOINT_NOT_FOUND":
            raise
        server = client.tracking_uri.rstrip("/")
        raise RegistryError(
            f"the tracking server {without_password(server)} has {_version(server)}, and does not "
            "take models as MLflow 3 logs them: upgrade the server (pip install "
            f"'mlflow=={mlflow.__version__}'), or name another in MLFLOW_TRACKING_URI"
        ) from error


def _version(server: str) -> str:
    try:
        answer = requests.get(f"{server}/version", timeout=_VERSION_SECONDS)
    except requests.RequestException:
        return "an older MLflow"
    known = answer.ok and answer.text[:1].isdigit()
    return f"MLflow {answer.text.strip()[:20]}" if known else "an older MLflow"


@contextmanager
def _absent() -> Iterator[None]:
    """Ignore the error that an object is absent, or that an old server lacks an endpoint."""
    try:
        yield
    except MlflowException as error:
        if error.error_code not in _NOT_THERE:
            raise
