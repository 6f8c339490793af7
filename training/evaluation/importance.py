"""Permutation importance: how much the primary metric loses when one feature is shuffled.

Each shuffle needs one prediction of the holdout, so with thousands of columns the computation would
take longer than the training. It ends after `SECONDS`, and the results until then are valid:

1. Each column is shuffled once, in an order drawn with the seed, so that the columns which are
   judged when the time is up are a random sample of all, not the first ones of the table.
2. The columns are shuffled again, the most important ones first, up to `REPEATS` times.

A shuffle depends only on the seed, the column and the repetition: a faster machine judges more
columns, but each shuffle has the same result.
"""

from collections.abc import Callable
from time import monotonic

import numpy as np
import numpy.typing as npt
import pandas as pd

from cloche.training.evaluation.metrics import score
from cloche.training.evaluation.predictions import Pairs
from cloche.training.recipe.metric_catalog import METRICS
from cloche.values.progress import Say

ROWS, REPEATS = 4_000, 3
SECONDS = 30.0
_REPORT_SECONDS = 10.0  # between two reports of the progress


def feature_importance(
    features: pd.DataFrame,
    truth: npt.NDArray[np.generic],
    *,
    metric: str,
    judge: Callable[[pd.DataFrame, npt.NDArray[np.generic]], Pairs],
    seed: int,
    say: Say,
    clock: Callable[[], float] = monotonic,
) -> pd.DataFrame:
    """Shuffle each feature of at most 4,000 holdout rows up to three times, within 30 seconds.

    Args:
        features: (n rows) Prepared features of the holdout.
        truth: (n,) Target column.
        metric: Metric whose loss is measured.
        judge: Function that pairs true values with the pipeline's predictions from features.
        seed: Seed for the sample of rows, the order of the columns and the shuffles.
        say: Called from time to time with a description of the progress.
        clock: Function that returns seconds.

    Returns:
        Columns `feature`, `mean`, `std` and `repeats`, most important feature first; a positive
        mean says that the feature helps. Columns with 0 repeats were not judged, and come last.
    """
    end = clock() + SECONDS
    reported = clock()
    drawn = np.random.default_rng(seed).permutation(len(features))[:ROWS]
    rows, labels = features.iloc[drawn], truth[drawn]
    sign = 1 if METRICS[metric].greater_is_better else -1
    whole = score(metric, judge(rows, labels))
    losses: list[list[float]] = [[] for _ in features.columns]
    order = np.random.default_rng(seed).permutation(len(losses))
    for repeat in range(REPEATS):
        for position, at in enumerate(order):
            if (now := clock()) > end:
                return _table(features, losses)
            if now > reported + _REPORT_SECONDS:
                reported = now
                say(
                    f"shuffling columns to see what the model loses without each, for at most "
                    f"{SECONDS:g} s: round {repeat + 1} of {REPEATS}, "
                    f"{position:,} of {len(order):,} columns"
                )
            shuffled = _shuffled(rows, int(at), seed=[seed, int(at), repeat])
            losses[at].append(sign * (whole - score(metric, judge(shuffled, labels))))
        order = np.argsort([-np.mean(found) for found in losses], kind="stable")
    return _table(features, losses)


def unmeasured_note(importance: pd.DataFrame) -> str | None:
    """Return a clause that says how many columns were judged; None if all were."""
    judged = int((importance["repeats"] > 0).sum())
    if judged == len(importance):
        return None
    return (
        f"the importance of {judged:,} of {len(importance):,} columns was measured within "
        f"{SECONDS:g} s, and they were drawn at random; the others have 0 repeats in "
        "tables/permutation_importance.json"
    )


def _shuffled(rows: pd.DataFrame, at: int, *, seed: list[int]) -> pd.DataFrame:
    """Return the rows with one column in another order."""
    order = np.random.default_rng(seed).permutation(len(rows))
    changed = rows.copy(deep=False)
    changed.isetitem(at, rows.iloc[order, at].array)
    return changed


def _table(features: pd.DataFrame, losses: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "feature": features.columns,
            "mean": [np.mean(found) if found else np.nan for found in losses],
            "std": [np.std(found) if len(found) > 1 else np.nan for found in losses],
            "repeats": [len(found) for found in losses],
        }
    ).sort_values(["mean", "repeats"], ascending=False, ignore_index=True)
