"""Whether MLflow's stores can take what a training leaves, asked before anything is read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException

from cloche.contact import reach
from cloche.secrecy import without_password
from cloche.training.errors import ClocheError, RegistryError
from cloche.training.recipe.schema import Recipe

# A tag that nobody sets: deleting it asks for the right to write, and changes nothing.
_NOTHING = "cloche.nothing"
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND")
_VERSION_SECONDS = 5.0


def check_stores(recipe: Recipe) -> None:
    """Ask for all that the training will need of the stores; nothing is written.

    Raises:
        RegistryError: Something is missing; the message says what, and what to do.
        MlflowException: The server does not answer, or does not let this user write.
    """
    reach(to_write=True)
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
def storing(kind: type[Exception]) -> Iterator[None]:
    """Say in a sentence that the artifact store took nothing; each store raises its own.

    Args:
        kind: What counts as that; `OSError` where other work is done as well.

    Raises:
        RegistryError: Such was raised.
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
    """The experiment that the run will belong to; None where it is made for it."""
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        return client.get_experiment(client.get_run(run_id).info.experiment_id)
    return client.get_experiment_by_name(os.environ.get("MLFLOW_EXPERIMENT_NAME") or recipe.name)


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
    """Nothing that may not be written is what is not there yet, or what an old server lacks."""
    try:
        yield
    except MlflowException as error:
        if error.error_code not in _NOT_THERE:
            raise
