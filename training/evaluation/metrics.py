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

Weights = npt.NDArray[np.float64] | None


def score(metric: str, outcome: Outcome, weights: Weights = None) -> float:
    """Return the metric's value.

    For a binary task, precision, recall and F1 are those of the positive label. For a multiclass
    task they are macro averages, and ROC AUC is the macro average of one class against the rest;
    both over the classes that occur in the rows, because nothing is known about the others.

    Args:
        metric: Key of `METRICS`.
        outcome: True values and predictions, n rows.
        weights: Weights of the rows, shape (n,), not negative; a row of weight zero is ignored.

    Returns:
        The value, `nan` if the metric is not defined.
    """
    if weights is not None:
        present = weights > 0
        outcome, weights = outcome.take(present), weights[present]
    if not len(outcome) or not is_computable(metric, outcome):
        return float("nan")
    return float(_FUNCTIONS[metric](outcome, weights))


def score_all(names: Iterable[str], outcome: Outcome, weights: Weights = None) -> dict[str, float]:
    """Return the value of each metric, in the order of `names`."""
    return {name: score(name, outcome, weights) for name in names}


def is_computable(metric: str, outcome: Outcome) -> bool:
    """Return whether the model's output contains what the metric is computed from."""
    return METRICS[metric].needs != "probabilities" or outcome.predictions.probabilities is not None


def _roc_auc(outcome: Outcome, weights: Weights) -> float:
    present = np.unique(outcome.truth)
    if len(present) < 2:
        return float("nan")
    if outcome.predictions.target.task == "binary":
        truth, probability = _positive(outcome)
        return float(sk.roc_auc_score(truth, probability, sample_weight=weights))
    # roc_auc_score returns nan for the average if one class is absent.
    probabilities = outcome.predictions.probabilities
    return float(
        np.mean(
            [
                sk.roc_auc_score(
                    outcome.truth == code,
                    probabilities[:, code],  # type: ignore[index]
                    sample_weight=weights,
                )
                for code in present
            ]
        )
    )


def _average_precision(outcome: Outcome, weights: Weights) -> float:
    truth, probability = _positive(outcome)
    if not truth.any():
        return float("nan")
    return float(sk.average_precision_score(truth, probability, sample_weight=weights))


def _log_loss(outcome: Outcome, weights: Weights) -> float:
    labels = np.arange(len(outcome.predictions.target.classes))
    return float(
        sk.log_loss(
            outcome.truth, outcome.predictions.probabilities, labels=labels, sample_weight=weights
        )
    )


def _brier(outcome: Outcome, weights: Weights) -> float:
    truth, probability = _positive(outcome)
    return float(sk.brier_score_loss(truth, probability, sample_weight=weights, pos_label=True))


def _accuracy(outcome: Outcome, weights: Weights) -> float:
    return float(sk.accuracy_score(outcome.truth, outcome.predictions.codes, sample_weight=weights))


def _balanced_accuracy(outcome: Outcome, weights: Weights) -> float:
    classes = np.unique(outcome.truth)
    if len(classes) < 2:
        return float("nan")
    # balanced_accuracy_score warns about predicted classes that do not occur in the truth; the mean
    # recall of those that occur is the same number.
    return float(
        sk.recall_score(
            outcome.truth,
            outcome.predictions.codes,
            labels=classes,
            average="macro",
            sample_weight=weights,
        )
    )


def _of_labels(
    function: Callable[..., float],
) -> Callable[[Outcome, Weights], float]:
    """Return the function for precision, recall or F1, of the positive label or macro-averaged."""

    def compute(outcome: Outcome, weights: Weights) -> float:
        target, codes = outcome.predictions.target, outcome.predictions.codes
        if target.task == "multiclass":
            return function(
                outcome.truth,
                codes,
                labels=np.unique(outcome.truth),
                average="macro",
                sample_weight=weights,
                zero_division=0.0,
            )
        return function(
            outcome.truth == target.positive_code,
            codes == target.positive_code,
            pos_label=True,
            sample_weight=weights,
            zero_division=np.nan,
        )

    return compute


def _r2(outcome: Outcome, weights: Weights) -> float:
    if np.ptp(outcome.truth) == 0:
        return float("nan")
    return float(sk.r2_score(outcome.truth, outcome.predictions.values, sample_weight=weights))


def _mape(outcome: Outcome, weights: Weights) -> float:
    if (outcome.truth == 0).any():
        return float("nan")
    return float(
        sk.mean_absolute_percentage_error(
            outcome.truth, outcome.predictions.values, sample_weight=weights
        )
    )


def _of_values(function: Callable[..., float]) -> Callable[[Outcome, Weights], float]:
    def compute(outcome: Outcome, weights: Weights) -> float:
        return function(outcome.truth, outcome.predictions.values, sample_weight=weights)

    return compute


def _positive(outcome: Outcome) -> tuple[npt.NDArray[np.bool_], Floats]:
    predictions = outcome.predictions
    return outcome.truth == predictions.target.positive_code, predictions.positive_probability()


_FUNCTIONS: dict[str, Callable[[Outcome, Weights], float]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _of_labels(sk.f1_score),
    "precision": _of_labels(sk.precision_score),
    "recall": _of_labels(sk.recall_score),
    "r2": _r2,
    "mae": _of_values(sk.mean_absolute_error),
    "rmse": _of_values(sk.root_mean_squared_error),
    "mape": _mape,
}
