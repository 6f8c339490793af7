"""Every metric of the catalogue, computed by scikit-learn.

A metric that is not defined (one class only, nothing predicted positive, no probabilities) is
`nan`, without a warning. This module does not resample;
`cloche.training.evaluation.weighted_metrics` contains the fast forms for that.
"""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from cloche.training.evaluation.predictions import Floats, Pairs
from cloche.training.recipe.metric_catalog import METRICS


def score(metric: str, pairs: Pairs) -> float:
    """Return the metric's value, `nan` if it is not defined.

    For a binary task, precision, recall and F1 are those of the positive label. For a multiclass
    task they are macro averages, and ROC AUC is the macro average of one class against the rest;
    both over the classes that occur in the rows, because nothing is known about the others.
    """
    if not len(pairs) or not is_computable(metric, pairs):
        return float("nan")
    return float(_FUNCTIONS[metric](pairs))


def score_all(names: Iterable[str], pairs: Pairs) -> dict[str, float]:
    """Return the value of each metric, in the order of `names`."""
    return {name: score(name, pairs) for name in names}


def is_computable(metric: str, pairs: Pairs) -> bool:
    """Return whether the model's output contains what the metric is computed from."""
    return METRICS[metric].needs != "probabilities" or pairs.predictions.probabilities is not None


def _roc_auc(pairs: Pairs) -> float:
    present = np.unique(pairs.truth)
    if len(present) < 2:
        return float("nan")
    if pairs.predictions.target.task == "binary":
        return float(sk.roc_auc_score(*_positive(pairs)))
    # roc_auc_score returns nan for the average if one class is absent.
    probabilities: Floats = pairs.predictions.probabilities  # type: ignore[assignment]
    areas = [sk.roc_auc_score(pairs.truth == code, probabilities[:, code]) for code in present]
    return float(np.mean(areas))


def _average_precision(pairs: Pairs) -> float:
    truth, probability = _positive(pairs)
    return float(sk.average_precision_score(truth, probability)) if truth.any() else float("nan")


def _log_loss(pairs: Pairs) -> float:
    labels = np.arange(len(pairs.predictions.target.classes))
    return float(sk.log_loss(pairs.truth, pairs.predictions.probabilities, labels=labels))


def _balanced_accuracy(pairs: Pairs) -> float:
    classes = np.unique(pairs.truth)
    if len(classes) < 2:
        return float("nan")
    # balanced_accuracy_score warns about predicted classes that do not occur in the truth; the mean
    # recall of those that occur is the same number.
    codes = pairs.predictions.codes
    return float(sk.recall_score(pairs.truth, codes, labels=classes, average="macro"))


def _of_labels(function: Callable[..., float]) -> Callable[[Pairs], float]:
    """Return the function for precision, recall or F1, of the positive label or macro-averaged."""

    def compute(pairs: Pairs) -> float:
        target, codes = pairs.predictions.target, pairs.predictions.codes
        if target.task == "multiclass":
            classes = np.unique(pairs.truth)
            return function(pairs.truth, codes, labels=classes, average="macro", zero_division=0.0)
        truth, predicted = pairs.truth == target.positive_code, codes == target.positive_code
        return function(truth, predicted, pos_label=True, zero_division=np.nan)

    return compute


def _of_values(function: Callable[..., float]) -> Callable[[Pairs], float]:
    return lambda pairs: function(pairs.truth, pairs.predictions.values)


def _r2(pairs: Pairs) -> float:
    if np.ptp(pairs.truth) == 0:
        return float("nan")
    return float(sk.r2_score(pairs.truth, pairs.predictions.values))


def _mape(pairs: Pairs) -> float:
    if (pairs.truth == 0).any():
        return float("nan")
    return float(sk.mean_absolute_percentage_error(pairs.truth, pairs.predictions.values))


def _positive(pairs: Pairs) -> tuple[npt.NDArray[np.bool_], Floats]:
    predictions = pairs.predictions
    return pairs.truth == predictions.target.positive_code, predictions.positive_probability()


_FUNCTIONS: dict[str, Callable[[Pairs], float]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": lambda pairs: sk.brier_score_loss(*_positive(pairs), pos_label=True),
    "accuracy": lambda pairs: sk.accuracy_score(pairs.truth, pairs.predictions.codes),
    "balanced_accuracy": _balanced_accuracy,
    "f1": _of_labels(sk.f1_score),
    "precision": _of_labels(sk.precision_score),
    "recall": _of_labels(sk.recall_score),
    "r2": _r2,
    "mae": _of_values(sk.mean_absolute_error),
    "rmse": _of_values(sk.root_mean_squared_error),
    "mape": _mape,
}
