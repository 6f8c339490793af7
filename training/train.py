"""One training, from recipe to challenger: the order of the steps, not how each is done."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient

from cloche.training.acceleration.original_model import OriginalModel, original_from_fitted
from cloche.training.acceleration.proven_twin import PROOF_SECONDS, make_proven_twin
from cloche.training.acceleration.store import attach, twin_tags
from cloche.training.dataset.checks.checks import check_split, check_table
from cloche.training.dataset.checks.target_column import missing_target_note, rows_with_target
from cloche.training.dataset.reading.datetimes import columns_with_zone, parse_times
from cloche.training.dataset.reading.sources import load_table
from cloche.training.dataset.reading.table import Table
from cloche.training.dataset.split import Split, split, validation_split
from cloche.training.errors import TwinRefused
from cloche.training.evaluation.evaluate import Evaluation, evaluate, predict_pairs
from cloche.training.evaluation.metrics import score
from cloche.training.evaluation.predictions import TargetSpec
from cloche.training.names import CHALLENGER, TRAINED_UNTIL
from cloche.training.packaging.model import Package, log_package
from cloche.training.packaging.profile import profile
from cloche.training.packaging.signature import make_signature, model_inputs
from cloche.training.pipeline.fit import Fitted, fit
from cloche.training.pipeline.search import Trial, run_search
from cloche.training.recipe.metric_catalog import METRICS
from cloche.training.recipe.schema import Recipe
from cloche.training.recipe.sections import TimeSplit
from cloche.training.retraining import RetrainingLimits
from cloche.training.tracking import training_run as record
from cloche.training.tracking.model_card import model_card
from cloche.training.tracking.run import training_run
from cloche.training.tracking.stores import artifact_store_errors, check_stores
from cloche.values.progress import Say

EXAMPLE_ROWS = 2
_NO_LIMITS = RetrainingLimits()


@dataclass(frozen=True)
class TrainedVersion:
    """The result of a training.

    Attributes:
        version: Number of the new version, which has the alias `challenger`.
    """

    name: str
    version: str
    run_id: str
    evaluation: Evaluation


@dataclass(frozen=True)
class PreparedData:
    """Checked data, ready to learn from.

    Attributes:
        table: The table as it was read, with its source.
        split: Training rows and holdout, with datetime columns as times in UTC.
        warnings: Unusual findings about the data that are no reason to stop.
    """

    table: Table
    split: Split
    warnings: list[str]


def prepare_data(
    recipe: Recipe, say: Say = lambda _: None, limits: RetrainingLimits = _NO_LIMITS
) -> PreparedData:
    """Read the recipe's table, check it, and split it.

    Raises:
        TrainingPostponed: The limits are not met.
        DataError: The table cannot be read, or learning from it would mislead; the error lists all
            reasons.
    """
    last = limits.check_pause(MlflowClient(), recipe.name)
    say(f"reading {recipe.data.source}")
    table = load_table(recipe.data, recipe.used_columns, target=recipe.target)
    limits.check_labels(table, last)
    say(f"checking {len(table.frame):,} rows of {len(table.frame.columns):,} columns")
    frame = rows_with_target(table.frame, recipe.target)
    warnings = check_table(frame if len(frame) else table.frame, recipe)
    if missing := len(table.frame) - len(frame):
        warnings.append(f"{recipe.target}: {missing_target_note(missing, len(table.frame))}")
    # The server and batch jobs read times in the same way: MLflow accepts no times with a zone.
    warnings += [
        f"{name}: its times have a time zone; the model takes them in UTC, as it will be served"
        for name in columns_with_zone(frame, recipe.columns.datetime)
    ]
    read = {name: parse_times(frame, name) for name in recipe.columns.datetime}
    sides = split(frame.assign(**read), recipe)
    return PreparedData(table, sides, [*warnings, *check_split(sides, recipe)])


def train(recipe: Recipe, say: Say, limits: RetrainingLimits = _NO_LIMITS) -> TrainedVersion:
    """Train, evaluate, log and register; the new version becomes the challenger.

    Raises:
        TrainingPostponed: The limits are not met.
        RegistryError: The stores cannot store the results of the training.
        DataError: The table cannot be read, or learning from it would mislead.
        TrainingError: The estimator or the search failed, or the model cannot be stored safely.
    """
    check_stores(recipe)
    data = prepare_data(recipe, say, limits)
    with training_run(recipe, say) as run, artifact_store_errors(OSError):
        for warning in data.warnings:
            say(f"note: {warning}")
        with artifact_store_errors(Exception):
            record.record_recipe(recipe)
            digest = _record_data(recipe, data)

        train_rows, holdout = data.split.train, data.split.holdout
        target = TargetSpec.from_column(
            recipe.task, train_rows[recipe.target],
            positive=recipe.positive, threshold=recipe.threshold,
        )  # fmt: skip
        inputs = model_inputs(train_rows, recipe.columns)
        fitted = _fit(recipe, target, train_rows, inputs, say)
        say(f"judging it on {len(holdout):,} held-out rows")
        evaluation = evaluate(recipe, fitted, target, train_rows, holdout, say=say)
        record.record_evaluation(recipe, evaluation)

        say("packaging and registering")
        package = _package(recipe, target, fitted, inputs, data.split, holdout_digest=digest)
        info = log_package(package)
        tags = _accelerate(
            recipe, lambda: original_from_fitted(fitted, package.signature), holdout,
            info.model_id, say,
        )  # fmt: skip
        card = model_card(
            recipe,
            evaluation,
            rows={"train": len(train_rows), "holdout": len(holdout)},
            source=data.table.source,
            run_id=run.info.run_id,
        )
        mlflow.set_tag("mlflow.note.content", card)
        version = _register(recipe, info.model_uri, card, tags)
    return TrainedVersion(recipe.name, version, run.info.run_id, evaluation)


def _record_data(recipe: Recipe, data: PreparedData) -> str:
    """Log both sides as inputs, and the holdout's rows; return the holdout's digest."""
    record.record_input(data.split.train, data.table.source, recipe, "training")
    record.record_input(data.split.holdout, data.table.source, recipe, "holdout")
    if data.table.times is not None:
        last = data.table.times["received_at"].loc[data.split.train.index].max()
        mlflow.set_tag(TRAINED_UNTIL, last.isoformat())
    return record.record_holdout(data.split.holdout)


def _when(recipe: Recipe, train: "pd.DataFrame") -> "pd.Series[pd.Timestamp] | None":
    """Return the times of the training rows; None if the recipe does not split by time."""
    return parse_times(train, recipe.split.column) if isinstance(recipe.split, TimeSplit) else None


def _fit(
    recipe: Recipe, target: TargetSpec, train_rows: pd.DataFrame, inputs: pd.DataFrame, say: Say
) -> Fitted:
    """Fit the pipeline, with the best parameters if the recipe searches them."""
    params = _tune(recipe, target, train_rows, say) if recipe.search else {}
    mlflow.log_params({f"model.{k}": v for k, v in {**recipe.estimator.params, **params}.items()})
    say(f"fitting {recipe.estimator.class_} on {len(train_rows):,} rows")
    return fit(recipe, inputs, train_rows[recipe.target], **params)


def _package(
    recipe: Recipe, target: TargetSpec, fitted: Fitted, inputs: pd.DataFrame, sides: Split, *,
    holdout_digest: str,
) -> Package:  # fmt: skip
    """Describe the fitted pipeline by its training rows: signature, input example and profile."""
    output, complete = fitted.predict(inputs), inputs.dropna().head(EXAMPLE_ROWS)
    return Package(
        recipe=recipe,
        target=target,
        fitted=fitted,
        signature=make_signature(inputs, output),
        example=complete if len(complete) else inputs.head(EXAMPLE_ROWS),
        profile=profile(inputs, recipe.columns, output, _when(recipe, sides.train)),
        holdout={
            "artifact": record.HOLDOUT_ARTIFACT,
            "digest": holdout_digest,
            "rows": len(sides.holdout),
        },
    )


def _tune(recipe: Recipe, target: TargetSpec, train_rows: pd.DataFrame, say: Say) -> dict[str, Any]:
    """Search on a part of the training rows; every trial becomes a nested run."""
    search = recipe.search
    assert search is not None  # noqa: S101 (the caller checks it)
    parts = validation_split(train_rows, recipe)
    inputs = model_inputs(parts.train, recipe.columns)
    judged = model_inputs(parts.holdout, recipe.columns)
    metric = recipe.primary_metric
    trials: list[Trial] = []

    def judge_params(params: dict[str, Any]) -> float:
        fitted = fit(recipe, inputs, parts.train[recipe.target], **params)
        return score(metric, predict_pairs(fitted, target, judged, parts.holdout[recipe.target]))

    def on_trial(trial: Trial) -> None:
        trials.append(trial)
        record.record_trial(recipe, trial)
        say(
            f"trial {trial.number + 1} of {search.trials}: "
            f"{metric} {trial.score:.4f} in {trial.seconds:.1f} s"
        )

    greater = METRICS[metric].greater_is_better
    best = run_search(recipe, judge_params, greater_is_better=greater, on_trial=on_trial)
    if len(trials) < search.trials:
        say(
            f"note: search.seconds ({search.seconds:g}) were used up after {len(trials)} of "
            f"{search.trials} trials; a faster machine may find another model"
        )
    record.record_search(trials, best)
    return best.params


def _accelerate(
    recipe: Recipe,
    original: Callable[[], OriginalModel],
    holdout: pd.DataFrame,
    model_id: str,
    say: Say,
) -> dict[str, str]:
    """Store an accelerated twin beside the model, if one can be proven; return its tags."""
    if recipe.acceleration == "off":
        return {}
    say(f"proving an accelerated twin, for at most {PROOF_SECONDS:g} s")
    try:
        rows = model_inputs(holdout, recipe.columns)
        twin = make_proven_twin(original(), rows, seed=recipe.seed)
    except TwinRefused as refusal:
        say(f"note: no accelerated twin: {refusal}")
        record.record_no_twin(str(refusal))
        return {}
    attach(MlflowClient(), model_id, twin)
    record.record_twin(twin)
    proof = twin.proof
    say(f"twin proven on {proof.rows:,} rows and {proof.adversarial_rows:,} adversarial ones")
    return twin_tags(twin)


def _register(recipe: Recipe, model_uri: str, card: str, twin: dict[str, str]) -> str:
    """Register the logged model; the alias moves last, when the version is complete."""
    client = MlflowClient()
    tags = {"cloche.recipe": recipe.name, "cloche.task": recipe.task, **twin}
    with contextlib.redirect_stderr(io.StringIO()):  # MLflow would repeat what the command prints
        version = mlflow.register_model(model_uri, recipe.name, tags=tags).version
    client.update_model_version(recipe.name, version, description=card)
    if recipe.description:
        client.update_registered_model(recipe.name, description=recipe.description)
    client.set_registered_model_alias(recipe.name, CHALLENGER, version)
    return str(version)
