"""The MLflow run of a training: where it belongs, and how it ends."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import mlflow
from mlflow import MlflowClient
from mlflow.entities import RunStatus

from cloche.training.recipe.schema import Recipe
from cloche.training.tracking.environment import git_state

_KIND = "cloche.kind"


@contextmanager
def training_run(recipe: Recipe, say: Callable[[str], None]) -> Iterator[mlflow.ActiveRun]:
    """The run that a training is logged to, as long as the context lasts.

    It is `FINISHED` then, `KILLED` where somebody ended the training, and `FAILED` otherwise.

    Args:
        recipe: what is trained.
        say: told where the environment names a run that is not taken.
    """
    _leave_what_others_wrote(say)
    open_experiment(recipe)
    with mlflow.start_run(tags=_tags(recipe)) as run:
        try:
            yield run
        except KeyboardInterrupt:
            mlflow.end_run(RunStatus.to_string(RunStatus.KILLED))
            raise


def _leave_what_others_wrote(say: Callable[[str], None]) -> None:
    """Go on with the run that MLFLOW_RUN_ID names only if it was begun for this training.

    `mlflow run` begins one. Any other is what somebody finished, or what this variable was set for
    before: its parameters cannot be changed, and a failure here would be told as one of that run.
    """
    named = os.environ.get("MLFLOW_RUN_ID")
    if not named:
        return
    run = MlflowClient().get_run(named)
    if RunStatus.is_terminated(RunStatus.from_string(run.info.status)) or _KIND in run.data.tags:
        del os.environ["MLFLOW_RUN_ID"]
        say(
            f"note: MLFLOW_RUN_ID names the run {named}, which holds something else already: "
            "the training gets a run of its own"
        )


def open_experiment(recipe: Recipe) -> None:
    """Make the recipe's experiment the active one, and have MLflow's UI show it as training.

    Where somebody chose the run or the experiment already, as `mlflow run` does, theirs is used.
    """
    if any(os.environ.get(name) for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME")):
        return
    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        mlflow.set_experiment(experiment_id=number)
        return
    mlflow.set_experiment(recipe.name)
    # MLflow sets the variable for processes that this one starts; the next training here would
    # take it for somebody's choice.
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    mlflow.set_experiment_tags(
        {
            "mlflow.experimentKind": "custom_model_development",
            "mlflow.note.content": recipe.description,
        }
    )


def _tags(recipe: Recipe) -> dict[str, str]:
    """Tags that make a training run findable."""
    git = {f"cloche.git_{key}": value for key, value in git_state().items()}
    return {
        "mlflow.runName": f"train {recipe.name}",
        _KIND: "training",
        "cloche.recipe": recipe.name,
        "cloche.task": recipe.task,
        "cloche.estimator": recipe.estimator.class_.rpartition(".")[2],
        **git,
    }
