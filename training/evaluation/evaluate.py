"""One model judged on both sides of the split: numbers only, no drawing and no logging."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cloche.training.dataset.checks.duplicates import record_numbers
from cloche.training.evaluation.importance import feature_importance, unjudged
from cloche.training.evaluation.intervals import Interval, intervals
from cloche.training.evaluation.metrics import is_computable, score_all
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Outcome, TargetSpec
from cloche.training.evaluation.remarks import remarks
from cloche.training.evaluation.slices import Slice, slices
from cloche.training.pipeline.fit import Fitted
from cloche.training.recipe.metric_catalog import metrics_for
from cloche.training.recipe.schema import Recipe


@dataclass(frozen=True)
class Evaluation:
    """What is known of a model's quality.

    Attributes:
        outcome: the holdout's truth beside the predictions.
        train: metric → value on the training rows.
        holdout: metric → value on the holdout with its confidence interval.
        slices: slice column → its parts, largest first.
        importance: see `feature_importance`; most important first.
        remarks: what somebody who reads the numbers should know, one sentence each.
    """

    outcome: Outcome
    train: dict[str, float]
    holdout: dict[str, Interval]
    slices: dict[str, list[Slice]]
    importance: pd.DataFrame
    remarks: tuple[str, ...]


def judge(fitted: Fitted, target: TargetSpec, inputs: pd.DataFrame, truth: Any) -> Outcome:
    """Predict (n rows) inputs and put the (n,) truth beside them."""
    return Outcome.of(truth, read(fitted.predict(inputs), target, rows=len(inputs)))


def reported_metrics(recipe: Recipe) -> list[str]:
    """The recipe's metrics first, then every other one that its task has."""
    return list(dict.fromkeys([*recipe.metrics, *metrics_for(recipe.task)]))


def evaluate(
    recipe: Recipe,
    fitted: Fitted,
    target: TargetSpec,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Judge `fitted` on both sides of the split.

    Args:
        recipe: names the metrics, the slices and the seed.
        fitted: the model.
        target: what it predicts.
        train: the rows it was fitted on, with the target column.
        holdout: later or other rows, with the target and the slice columns.
        say: told now and then how far it is.
    """
    outcome = judge(fitted, target, holdout, holdout[recipe.target])
    metrics = [name for name in reported_metrics(recipe) if is_computable(name, outcome)]
    found = intervals(
        outcome,
        metrics,
        resamples=recipe.gate.resamples,
        seed=recipe.seed,
        records=record_numbers(holdout, recipe.columns.features, recipe.target),
    )
    importance = feature_importance(
        fitted.prepare(holdout),
        holdout[recipe.target].to_numpy(),
        metric=recipe.primary_metric,
        judge=lambda features, truth: Outcome.of(
            truth, read(fitted.score(features), target, rows=len(features))
        ),
        seed=recipe.seed,
        say=say,
    )
    partly = unjudged(importance)
    return Evaluation(
        outcome=outcome,
        train=score_all(metrics, judge(fitted, target, train, train[recipe.target])),
        holdout=found,
        slices={name: slices(holdout[name], outcome, metrics) for name in recipe.slices},
        importance=importance,
        remarks=(*remarks(outcome, found), *([partly] if partly else [])),
    )


def slice_table(parts: Sequence[Slice]) -> pd.DataFrame:
    """Columns `column`, `value`, `rows` and one for each metric."""
    return pd.DataFrame(
        [{"column": p.column, "value": p.value, "rows": p.rows, **p.scores} for p in parts]
    )
