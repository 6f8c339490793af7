"""Every metric of the catalogue, computed by scikit-learn.

A metric that is not defined (one class only, nothing predicted positive, no probabilities) is
`nan`, without a warning. This module does not resample;
`cloche.training.evaluation.weighted_metrics` contains the fast forms for that.
"""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from cloche.training.evaluation.predictions import Floats, Outcome
from cloche.training.recipe.metric_catalog import METRICS


def score(metric: str, outcome: Outcome) -> float:
    """Return the metric's value, `nan` if it is not defined.

    For a binary task, precision, recall and F1 are those of the positive label. For a multiclass
    task they are macro averages, and ROC AUC is the macro average of one class against the rest;
    both over the classes that occur in the rows, because nothing is known about the others.
    """
    if not len(outcome) or not is_computable(metric, outcome):
        return float("nan")
    return float(_FUNCTIONS[metric](outcome))


def score_all(names: Iterable[str], outcome: Outcome) -> dict[str, float]:
    """Return the value of each metric, in the order of `names`."""
    return {name: score(name, outcome) for name in names}


def is_computable(metric: str, outcome: Outcome) -> bool:
    """Return whether the model's output contains what the metric is computed from."""
    return METRICS[metric].needs != "probabilities" or outcome.predictions.probabilities is not None


def _roc_auc(outcome: Outcome) -> float:
    present = np.unique(outcome.truth)
    if len(present) < 2:
        return float("nan")
    if outcome.predictions.target.task == "binary":
        return float(sk.roc_auc_score(*_positive(outcome)))
    # roc_auc_score returns nan for the average if one class is absent.
    probabilities: Floats = outcome.predictions.probabilities  # type: ignore[assignment]
    areas = [sk.roc_auc_score(outcome.truth == code, probabilities[:, code]) for code in present]
    return float(np.mean(areas))


def _average_precision(outcome: Outcome) -> float:
    truth, probability = _positive(outcome)
    return float(sk.average_precision_score(truth, probability)) if truth.any() else float("nan")


def _log_loss(outcome: Outcome) -> float:
    labels = np.arange(len(outcome.predictions.target.classes))
    return float(sk.log_loss(outcome.truth, outcome.predictions.probabilities, labels=labels))


def _balanced_accuracy(outcome: Outcome) -> float:
    classes = np.unique(outcome.truth)
    if len(classes) < 2:
        return float("nan")
    # balanced_accuracy_score warns about predicted classes that do not occur in the truth; the mean
    # recall of those that occur is the same number.
    codes = outcome.predictions.codes
    return float(sk.recall_score(outcome.truth, codes, labels=classes, average="macro"))


def _of_labels(function: Callable[..., float]) -> Callable[[Outcome], float]:
    """Return the function for precision, recall or F1, of the positive label or macro-averaged."""

    def compute(outcome: Outcome) -> float:
        target, codes = outcome.predictions.target, outcome.predictions.codes
        if target.task == "multiclass":
            classes = np.unique(outcome.truth)
            return function(
                outcome.truth, codes, labels=classes, average="macro", zero_division=0.0
            )
        truth, predicted = outcome.truth == target.positive_code, codes == target.positive_code
        return function(truth, predicted, pos_label=True, zero_division=np.nan)

    return compute


def _of_values(function: Callable[..., float]) -> Callable[[Outcome], float]:
    return lambda outcome: function(outcome.truth, outcome.predictions.values)


def _r2(outcome: Outcome) -> float:
    if np.ptp(outcome.truth) == 0:
        return float("nan")
    return float(sk.r2_score(outcome.truth, outcome.predictions.values))


def _mape(outcome: Outcome) -> float:
    if (outcome.truth == 0).any():
        return float("nan")
    return float(sk.mean_absolute_percentage_error(outcome.truth, outcome.predictions.values))


def _positive(outcome: Outcome) -> tuple[npt.NDArray[np.bool_], Floats]:
    predictions = outcome.predictions
    return outcome.truth == predictions.target.positive_code, predictions.positive_probability()


_FUNCTIONS: dict[str, Callable[[Outcome], float]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": lambda outcome: sk.brier_score_loss(*_positive(outcome), pos_label=True),
    "accuracy": lambda outcome: sk.accuracy_score(outcome.truth, outcome.predictions.codes),
    "balanced_accuracy": _balanced_accuracy,
    "f1": _of_labels(sk.f1_score),
    "precision": _of_labels(sk.precision_score),
    "recall": _of_labels(sk.recall_score),
    "r2": _r2,
    "mae": _of_values(sk.mean_absolute_error),
    "rmse": _of_values(sk.root_mean_squared_error),
    "mape": _mape,
}
