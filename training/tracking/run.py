"""The MLflow run of a training: its experiment, and its status at the end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow import MlflowClient
from mlflow.entities import RunStatus

from cloche.training.recipe.schema import Recipe
from cloche.training.tracking.run_environment import git_state
from cloche.values.progress import Say

_KIND = "cloche.kind"


@contextmanager
def training_run(recipe: Recipe, say: Say) -> Iterator[mlflow.ActiveRun]:
    """Yield the run that a training is logged to, and end it with the context.

    Its status is then `FINISHED`, `KILLED` if a user interrupted the training, or `FAILED`
    otherwise.

    Args:
        recipe: Recipe of the training.
        say: Called with a note if the environment names a run that is not used.
    """
    _ignore_foreign_run(say)
    open_experiment(recipe)
    with mlflow.start_run(tags=_tags(recipe)) as run:
        try:
            yield run
        except KeyboardInterrupt:
            mlflow.end_run(RunStatus.to_string(RunStatus.KILLED))
            raise


def _ignore_foreign_run(say: Say) -> None:
    """Continue the run that MLFLOW_RUN_ID names only if it was started for this training.

    `mlflow run` starts such a run. Any other run is finished, or belongs to an earlier training for
    which the variable was set: its parameters cannot be changed, and a failure of this training
    would be recorded as a failure of that run.
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
    """Make the recipe's experiment the active one, and mark it as training for MLflow's UI.

    If the environment already selects a run or an experiment, as `mlflow run` does, that one is
    used.
    """
    if any(os.environ.get(name) for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME")):
        return
    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        mlflow.set_experiment(experiment_id=number)
        return
    mlflow.set_experiment(recipe.name)
    # MLflow sets the variable for child processes; the next training in this process would take it
    # for the user's choice.
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    mlflow.set_experiment_tags(
        {
            "mlflow.experimentKind": "custom_model_development",
            "mlflow.note.content": recipe.description,
        }
    )


def _tags(recipe: Recipe) -> dict[str, str]:
    """Return tags by which a training run can be found."""
    git = {f"cloche.git_{key}": value for key, value in git_state().items()}
    return {
        "mlflow.runName": f"train {recipe.name}",
        _KIND: "training",
        "cloche.recipe": recipe.name,
        "cloche.task": recipe.task,
        "cloche.estimator": recipe.estimator.class_.rpartition(".")[2],
        **git,
    }
