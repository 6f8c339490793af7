"""Finds features that reveal the target.

A feature is suspected if it determines the target of every row, and if this would happen by chance
in less than one of a million tables.
"""

import math
from typing import Final

import numpy as np
import pandas as pd

from cloche.training.recipe.metric_catalog import Task
from cloche.training.recipe.sections import Columns

_CHANCE: Final = math.log(1e-6)
_NEARLY: Final = 0.999
_FEW_VALUES: Final = 20
_SMALLEST: Final = float(np.finfo("float64").tiny)


def leaks(frame: pd.DataFrame, target: str, columns: Columns, task: Task) -> dict[str, str]:
    """Return how each feature that determines the target completely does so, by feature."""
    truth = frame[target]
    return {
        name: found
        for name in columns.features
        if name in frame and (found := _leak(frame[name], truth, task, text=name in columns.text))
    }


def near_leaks(frame: pd.DataFrame, target: str, columns: Columns, task: Task) -> dict[str, float]:
    """Return how well the order of each numeric feature predicts the target, if above 0.999.

    The measure is the area under the ROC curve for two classes, and the rank correlation for
    numbers; the direction does not matter.
    """
    truth = frame[target]
    found = {}
    for name in columns.numeric:
        if name in frame and pd.api.types.is_numeric_dtype(frame[name]):
            known = frame[name].notna()
            strength = _order_strength(frame.loc[known, name], truth[known], task)
            if strength >= _NEARLY:
                found[name] = strength
    return found


def _leak(feature: pd.Series, truth: pd.Series, task: Task, *, text: bool) -> str | None:
    if _determines(feature.isna(), truth):
        return "is missing just where the target is of one kind"
    known = feature.notna()
    feature, truth = feature[known], truth[known]
    distinct = feature.nunique()
    # That equal texts have equal labels is no leak.
    if (not text or distinct <= _FEW_VALUES) and _determines(feature, truth):
        if distinct == truth.nunique():
            return "is the target, or the target under other names"
        return "tells the target: each of its values goes with one value of the target only"
    if not pd.api.types.is_numeric_dtype(feature):
        return None
    if task == "regression":
        return "is the target on another scale" if _same_order(feature, truth) else None
    how = "tells the target: a threshold on it separates the classes perfectly"
    return how if _separates(feature, truth) else None


def _determines(feature: pd.Series, truth: pd.Series) -> bool:
    """Return whether equal values of the feature always have equal targets, and not by chance."""
    if feature.nunique() < 2 or truth.nunique() < 2:
        return False
    kinds = truth.groupby(feature.to_numpy(), observed=True).agg(["nunique", "size"])
    if (kinds["nunique"] > 1).any():
        return False
    shares = truth.value_counts(normalize=True).to_numpy()
    # The probability that so many rows would agree if their labels were drawn at random.
    sizes, counts = np.unique(kinds["size"].to_numpy(), return_counts=True)
    chances = np.array([np.sum(shares ** int(size)) for size in sizes])
    return float(counts @ np.log(np.maximum(chances, _SMALLEST))) < _CHANCE


def _separates(feature: pd.Series, truth: pd.Series) -> bool:
    """Return whether the classes lie in disjoint intervals of the feature, and not by chance."""
    sides = feature.groupby(truth.to_numpy()).agg(["min", "max", "size"]).sort_values("min")
    if len(sides) < 2 or (sides["max"].shift().iloc[1:] >= sides["min"].iloc[1:]).any():
        return False
    # The probability of this: one of all arrangements of the labels along the feature, times the
    # number of orders of the classes.
    ways = math.lgamma(len(feature) + 1) - sum(math.lgamma(size + 1) for size in sides["size"])
    return math.lgamma(len(sides) + 1) - ways < _CHANCE


def _same_order(feature: pd.Series, truth: pd.Series) -> bool:
    if math.lgamma(feature.nunique() + 1) < -_CHANCE:
        return False
    ranks, wanted = feature.rank(), truth.rank()
    return bool((ranks == wanted).all() or (ranks == len(ranks) + 1 - wanted).all())


def _order_strength(feature: pd.Series, truth: pd.Series, task: Task) -> float:
    if feature.nunique() < 2 or truth.nunique() < 2:
        return 0.0
    if task == "regression":
        return float(abs(feature.rank().corr(truth.rank())))
    if truth.nunique() != 2:
        return 0.0
    ranks = feature.rank()
    positive = truth == truth.iloc[0]
    count, others = int(positive.sum()), int((~positive).sum())
    area = (ranks[positive].sum() - count * (count + 1) / 2) / (count * others)
    return float(max(area, 1 - area))
