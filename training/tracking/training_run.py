"""Logs each part of a training's results to MLflow. The caller keeps the run open."""

import re
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.types import Schema

from cloche.training.acceleration.proof.stored_twin import ProvenTwin
from cloche.training.dataset.reading.digest import frame_digest
from cloche.training.dataset.reading.parquet import write_parquet
from cloche.training.evaluation.evaluate import Evaluation, slice_table
from cloche.training.evaluation.plots import evaluation_plots, importance_plot, slices_plot
from cloche.training.names import ACCELERATED, ACCELERATED_REASON
from cloche.training.packaging.signature import deciding_rows
from cloche.training.pipeline.search import Trial, trials_frame
from cloche.training.recipe.load import dump_recipe
from cloche.training.recipe.schema import Recipe
from cloche.training.tracking.run_environment import installed_packages, machine

HOLDOUT_ARTIFACT = "holdout/holdout.parquet"
TWIN_ARTIFACT = "acceleration/twin.json"
MOST_SLICE_METRICS = 30  # most slices of one column that get a separate metric


def record_recipe(recipe: Recipe) -> None:
    """Log the recipe as a file, its choices as parameters, and the environment."""
    mlflow.log_text(dump_recipe(recipe), "recipe.yaml")
    mlflow.log_text(installed_packages(), "environment/requirements.txt")
    mlflow.log_dict(machine(), "environment/machine.json")
    mlflow.log_params(
        {
            "task": recipe.task,
            "target": recipe.target,
            "split": recipe.split.by,
            "estimator": recipe.estimator.class_,
            "seed": recipe.seed,
            "features": len(recipe.columns.features),
        }
    )


class _Table(PandasDataset):
    """A table as MLflow's dataset, with a schema that is not inferred from every cell."""

    @cached_property
    def schema(self) -> Schema | None:
        rows = PandasDataset(deciding_rows(self.df), self.source, digest=self.digest)
        return rows.schema


def record_input(frame: pd.DataFrame, source: str, recipe: Recipe, context: str) -> None:
    """Log one side of the split as a dataset input of the run."""
    dataset = _Table(
        frame,
        source=CodeDatasetSource({"cloche.source": source}),
        targets=recipe.target,
        name=f"{recipe.name} {context}",
        digest=frame_digest(frame)[:16],
    )
    with warnings.catch_warnings():
        # The warning is meant for model signatures; this schema only describes the table.
        warnings.filterwarnings("ignore", message=".*integer column", category=UserWarning)
        mlflow.log_input(dataset, context=context)


def record_holdout(holdout: pd.DataFrame) -> str:
    """Log the holdout's rows, so that the gate can judge every later version on the same rows.

    Returns:
        The digest of the rows as they will be read back.
    """
    with TemporaryDirectory(prefix="cloche-") as folder:
        path = Path(folder, Path(HOLDOUT_ARTIFACT).name)
        write_parquet(holdout, path, "the holdout")
        mlflow.log_artifact(str(path), str(Path(HOLDOUT_ARTIFACT).parent))
        return frame_digest(pd.read_parquet(path))


def record_trial(recipe: Recipe, trial: Trial) -> None:
    """Log one search trial as a nested run."""
    with mlflow.start_run(run_name=f"trial {trial.number}", nested=True):
        mlflow.set_tags({"cloche.kind": "trial", "cloche.recipe": recipe.name})
        mlflow.log_params({**recipe.estimator.params, **trial.params})
        metrics = {f"validation/{recipe.primary_metric}": trial.score, "seconds": trial.seconds}
        mlflow.log_metrics(_finite(metrics))


def record_search(trials: Sequence[Trial], best: Trial) -> None:
    """Log all trials as one table, and the number of the best trial."""
    mlflow.log_table(trials_frame(trials), "search/trials.json")
    mlflow.log_params({"search_trials": len(trials), "search_best_trial": best.number})


def record_evaluation(recipe: Recipe, evaluation: Evaluation) -> None:
    """Log metrics with their intervals, tables and plots."""
    metrics = {f"train/{name}": value for name, value in evaluation.train.items()}
    for name, interval in evaluation.holdout.items():
        values = {"": interval.value, "_low": interval.low, "_high": interval.high}
        metrics |= {f"holdout/{name}{end}": value for end, value in values.items()}
    mlflow.log_metrics(_finite(metrics))
    _record_slices(recipe, evaluation)
    mlflow.log_table(evaluation.importance, "tables/permutation_importance.json")
    for name, figure in evaluation_plots(evaluation.pairs):
        mlflow.log_figure(figure, f"plots/{name}.png")
    mlflow.log_figure(
        importance_plot(evaluation.importance, recipe.primary_metric),
        "plots/permutation_importance.png",
    )


def record_twin(twin: ProvenTwin) -> None:
    """Log the proof of an accelerated twin."""
    mlflow.set_tag(ACCELERATED, "onnx")
    mlflow.log_dict(twin.document, TWIN_ARTIFACT)
    mlflow.log_metrics(
        {
            "acceleration/rows": twin.proof.rows,
            "acceleration/adversarial_rows": twin.proof.adversarial_rows,
            "acceleration/largest_difference": twin.proof.largest_difference,
        }
    )


def record_no_twin(reason: str) -> None:
    """Log the reason why there is no accelerated twin."""
    mlflow.set_tag(ACCELERATED, "no")
    mlflow.set_tag(ACCELERATED_REASON, reason)


def _record_slices(recipe: Recipe, evaluation: Evaluation) -> None:
    metric = recipe.primary_metric
    for column, parts in evaluation.slices.items():
        table = slice_table(parts)
        mlflow.log_table(table, f"tables/slices_{_name(column)}.json")
        overall = evaluation.holdout[metric].value
        figure = slices_plot(table, column, metric, overall)
        mlflow.log_figure(figure, f"plots/slices_{_name(column)}.png")
        mlflow.log_metrics(
            _finite(
                {
                    f"slice/{_name(column)}/{_name(part.value)}/{metric}": part.scores[metric]
                    for part in parts[:MOST_SLICE_METRICS]
                }
            )
        )


def _name(text: str) -> str:
    """Return a text as MLflow accepts it in the name of a metric or an artifact."""
    return re.sub(r"[^\w .-]", "_", text)


def _finite(metrics: dict[str, Any]) -> dict[str, float]:
    """Return the metrics without undefined values, which stores refuse."""
    return {name: float(value) for name, value in metrics.items() if value == value}  # noqa: PLR0124
