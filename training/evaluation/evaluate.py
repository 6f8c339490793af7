"""Evaluates a model on both sides of the split; the module neither draws nor logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cloche.training.dataset.checks.duplicates import record_numbers
from cloche.training.evaluation.importance import feature_importance, unmeasured_note
from cloche.training.evaluation.intervals import Interval, intervals
from cloche.training.evaluation.metrics import is_computable, score_all
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Pairs, TargetSpec
from cloche.training.evaluation.remarks import remarks
from cloche.training.evaluation.slices import slices
from cloche.training.measurements import Slice
from cloche.training.pipeline.fit import Fitted
from cloche.training.recipe.metric_catalog import metrics_for
from cloche.training.recipe.schema import Recipe
from cloche.values.progress import Say


@dataclass(frozen=True)
class Evaluation:
    """The measured quality of a model.

    Attributes:
        pairs: True values of the holdout with the predictions for them.
        train: Metric → value on the training rows.
        holdout: Metric → value on the holdout with its confidence interval.
        slices: Slice column → its slices, largest first.
        importance: Table of `feature_importance`, most important feature first.
        remarks: What a reader of the numbers should know, one sentence each.
    """

    pairs: Pairs
    train: dict[str, float]
    holdout: dict[str, Interval]
    slices: dict[str, list[Slice]]
    importance: pd.DataFrame
    remarks: tuple[str, ...]


def predict_pairs(fitted: Fitted, target: TargetSpec, inputs: pd.DataFrame, truth: Any) -> Pairs:
    """Predict (n rows) inputs, and combine the predictions with the (n,) true values."""
    return Pairs.pair(truth, read(fitted.predict(inputs), target, rows=len(inputs)))


def reported_metrics(recipe: Recipe) -> list[str]:
    """Return the recipe's metrics first, then all other metrics of its task."""
    return list(dict.fromkeys([*recipe.metrics, *metrics_for(recipe.task)]))


def evaluate(
    recipe: Recipe,
    fitted: Fitted,
    target: TargetSpec,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    say: Say = lambda _: None,
) -> Evaluation:
    """Evaluate `fitted` on both sides of the split."""
    pairs = predict_pairs(fitted, target, holdout, holdout[recipe.target])
    metrics = [name for name in reported_metrics(recipe) if is_computable(name, pairs)]
    found = intervals(
        pairs,
        metrics,
        resamples=recipe.gate.resamples,
        seed=recipe.seed,
        records=record_numbers(holdout, recipe.columns.features, recipe.target),
    )
    importance = feature_importance(
        fitted.prepare(holdout),
        holdout[recipe.target].to_numpy(),
        metric=recipe.primary_metric,
        judge=lambda features, truth: Pairs.pair(
            truth, read(fitted.score(features), target, rows=len(features))
        ),
        seed=recipe.seed,
        say=say,
    )
    partly = unmeasured_note(importance)
    return Evaluation(
        pairs=pairs,
        train=score_all(metrics, predict_pairs(fitted, target, train, train[recipe.target])),
        holdout=found,
        slices={name: slices(holdout[name], pairs, metrics) for name in recipe.slices},
        importance=importance,
        remarks=(*remarks(pairs, found), *([partly] if partly else [])),
    )


def slice_table(parts: Sequence[Slice]) -> pd.DataFrame:
    """Return a table with the columns `column`, `value`, `rows` and one column for each metric."""
    return pd.DataFrame(
        [{"column": p.column, "value": p.value, "rows": p.rows, **p.scores} for p in parts]
    )
