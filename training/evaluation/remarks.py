"""Sentences for people about rows that lack a class or do not define a metric."""

from collections.abc import Iterator, Mapping
from math import isnan

import numpy as np

from cloche.training.evaluation.intervals import Interval
from cloche.training.evaluation.metrics import is_computable
from cloche.training.evaluation.predictions import Pairs, quote_names

_OF_CLASSES = ("roc_auc", "balanced_accuracy")


def undefined_reasons(pairs: Pairs, scores: Mapping[str, float]) -> dict[str, str]:
    """Return by metric why the rows do not define it, for metrics whose value is `nan`."""
    return {metric: _reason(metric, pairs) for metric, value in scores.items() if isnan(value)}


def absent_classes(pairs: Pairs) -> list[str]:
    """Return a sentence about the classes that no row has; empty if every class occurs."""
    classes = pairs.predictions.target.classes
    present = np.unique(pairs.truth) if classes else ()
    absent = [label for code, label in enumerate(classes) if code not in present]
    if not absent or not len(pairs):
        return []
    return [
        f"no row of the holdout has the label {quote_names(absent)}; "
        "averages over the classes are those over the others"
    ]


def remarks(pairs: Pairs, found: Mapping[str, Interval]) -> Iterator[str]:
    """Yield what a reader should know about the metrics of a holdout, one sentence each."""
    yield from absent_classes(pairs)
    scores = {metric: interval.value for metric, interval in found.items()}
    for metric, reason in undefined_reasons(pairs, scores).items():
        yield f"{metric} is undefined: {reason}"
    for metric, interval in found.items():
        if isnan(interval.low) and not isnan(interval.value):
            yield (
                f"{metric} has no interval: too few rows decide it, and many draws of the "
                "bootstrap do not define it"
            )


def _reason(metric: str, pairs: Pairs) -> str:
    if not len(pairs):
        return "there are no rows"
    if not is_computable(metric, pairs):
        return "the model gives no probabilities"
    target, zeros = pairs.predictions.target, int((pairs.truth == 0).sum())
    if target.task == "regression":
        found = f"the target is 0 in {zeros:,} rows"
        return found if metric == "mape" else "the target has one value in all rows"
    if metric in _OF_CLASSES:
        return f"all rows have the label {target.classes[pairs.truth[0]]!r}"
    positive = f"the label {target.positive!r}"
    if metric == "precision":
        return f"no row is predicted to have {positive}"
    return f"no row has {positive}" + (" and none is predicted to" if metric == "f1" else "")
