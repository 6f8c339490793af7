"""Every metric as a fast function of row weights, for the same predictions and many weightings.

A bootstrap resample of n rows is a vector of n counts. Work that does not depend on the counts
(ranking by score, squared errors, positions in the confusion matrix) is done once in `prepare`; the
rest is a few passes over the rows. The values equal those of `score` in `metrics.py`, which is the
definition; a property test compares the two.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cloche.training.evaluation.metrics import is_computable
from cloche.training.evaluation.predictions import Floats, Pairs

Weighted = Callable[[Floats], float]

NAN = float("nan")


def prepare(metric: str, pairs: Pairs) -> Weighted:
    """Return the metric of `pairs` as a function of row weights, shape (n,), not negative."""
    if not len(pairs) or not is_computable(metric, pairs):
        return lambda _: NAN
    return _PREPARATIONS[metric](pairs)


def _roc_auc(pairs: Pairs) -> Weighted:
    target = pairs.predictions.target
    if target.task == "binary":
        positive = pairs.truth == target.positive_code
        return _binary_auc(positive, pairs.predictions.positive_probability())
    probabilities = pairs.predictions.probabilities
    one_against_rest = [
        _binary_auc(pairs.truth == code, probabilities[:, code])  # type: ignore[index]
        for code in range(len(target.classes))
    ]

    def roc_auc(weights: Floats) -> float:
        areas = np.array([auc(weights) for auc in one_against_rest])
        defined = ~np.isnan(areas)
        return float(areas[defined].mean()) if defined.any() else NAN

    return roc_auc


def _binary_auc(positive: npt.NDArray[np.bool_], scores: Floats) -> Weighted:
    """Return the area under the ROC curve, summed by trapezoids between groups of equal scores."""
    accumulate = _accumulation(positive, scores)

    def auc(weights: Floats) -> float:
        hits, everything = accumulate(weights)
        false_alarms = everything - hits
        if hits[-1] <= 0 or false_alarms[-1] <= 0:
            return NAN
        area = _dot(np.diff(false_alarms), hits[1:] + hits[:-1]) / 2
        return area / float(hits[-1] * false_alarms[-1])

    return auc


def _average_precision(pairs: Pairs) -> Weighted:
    positive = pairs.truth == pairs.predictions.target.positive_code
    accumulate = _accumulation(positive, pairs.predictions.positive_probability())

    def average_precision(weights: Floats) -> float:
        hits, everything = accumulate(weights)
        if hits[-1] <= 0:
            return NAN
        precision = np.divide(hits, everything, out=np.zeros_like(hits), where=everything > 0)
        return _dot(np.diff(hits), precision[1:]) / float(hits[-1])

    return average_precision


def _accumulation(
    positive: npt.NDArray[np.bool_], scores: Floats
) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Return a function that sums the weights of the rows that score at least as high, by score.

    It returns the sums of the positive rows and of all rows, for each different score in descending
    order; both begin with 0, for no row at all.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.inf)) + 1
    is_positive = positive[order].astype(np.float64)

    def accumulate(weights: Floats) -> tuple[Floats, Floats]:
        ranked = weights[order]
        sums = []
        for part in (ranked * is_positive, ranked):
            running = np.zeros(len(part) + 1)
            np.cumsum(part, out=running[1:])
            sums.append(running if len(ends) == len(part) else running[np.r_[0, ends]])
        return sums[0], sums[1]

    return accumulate


def _dot(left: Floats, right: Floats) -> float:
    """Return the inner product without BLAS, which would wake all its threads each time."""
    return float(np.einsum("i,i->", left, right))


def _log_loss(pairs: Pairs) -> Weighted:
    probabilities = pairs.predictions.probabilities
    eps = np.finfo(np.float64).eps
    of_truth = probabilities[np.arange(len(pairs)), pairs.truth]  # type: ignore[index]
    return _mean(-np.log(np.clip(of_truth, eps, 1 - eps)))


def _brier(pairs: Pairs) -> Weighted:
    positive = pairs.truth == pairs.predictions.target.positive_code
    return _mean((pairs.predictions.positive_probability() - positive) ** 2)


def _accuracy(pairs: Pairs) -> Weighted:
    return _mean((pairs.truth == pairs.predictions.codes).astype(np.float64))


def _mean(errors: Floats) -> Weighted:
    def mean(weights: Floats) -> float:
        total = float(weights.sum())
        return _dot(weights, errors) / total if total > 0 else NAN

    return mean


def _confusion(pairs: Pairs) -> Callable[[Floats], Floats]:
    """Return a function that computes the weighted confusion matrix, true labels in rows."""
    size = len(pairs.predictions.target.classes)
    cells = pairs.truth * size + pairs.predictions.codes

    def confusion(weights: Floats) -> Floats:
        counts = np.bincount(cells, weights=weights, minlength=size * size)
        return counts.astype(np.float64, copy=False).reshape(size, size)

    return confusion


def _balanced_accuracy(pairs: Pairs) -> Weighted:
    confusion = _confusion(pairs)

    def balanced_accuracy(weights: Floats) -> float:
        matrix = confusion(weights)
        true = matrix.sum(axis=1)
        occurs = true > 0
        if occurs.sum() < 2:
            return NAN
        return float(np.mean(matrix.diagonal()[occurs] / true[occurs]))

    return balanced_accuracy


def _of_labels(
    ratio: Callable[[Floats, Floats, Floats], tuple[Floats, Floats]],
) -> Callable[[Pairs], Weighted]:
    """Return the preparation of precision, recall or F1 from the hits and totals of each class."""

    def preparation(pairs: Pairs) -> Weighted:
        target, confusion = pairs.predictions.target, _confusion(pairs)

        def compute(weights: Floats) -> float:
            matrix = confusion(weights)
            predicted, true = matrix.sum(axis=0), matrix.sum(axis=1)
            over, under = ratio(matrix.diagonal(), predicted, true)
            if target.task == "binary":
                code = target.positive_code
                return float(over[code] / under[code]) if under[code] > 0 else NAN
            values = np.divide(over, under, out=np.zeros_like(over), where=under > 0)
            occurs = true > 0
            return float(values[occurs].mean()) if occurs.any() else NAN

        return compute

    return preparation


def _r2(pairs: Pairs) -> Weighted:
    truth, squared_errors = pairs.truth, _squared_errors(pairs)

    def r2(weights: Floats) -> float:
        drawn = truth[weights > 0]
        if not len(drawn) or np.ptp(drawn) == 0:
            return NAN
        mean = _dot(weights, truth) / float(weights.sum())
        return 1 - _dot(weights, squared_errors) / _dot(weights, (truth - mean) ** 2)

    return r2


def _rmse(pairs: Pairs) -> Weighted:
    mean_squared_error = _mean(_squared_errors(pairs))
    return lambda weights: float(np.sqrt(mean_squared_error(weights)))


def _mape(pairs: Pairs) -> Weighted:
    zero = pairs.truth == 0
    mean = _mean(_absolute_errors(pairs) / np.where(zero, 1.0, np.abs(pairs.truth)))
    return lambda weights: NAN if weights[zero].any() else mean(weights)


def _squared_errors(pairs: Pairs) -> Floats:
    return _absolute_errors(pairs) ** 2


def _absolute_errors(pairs: Pairs) -> Floats:
    return np.abs(pairs.truth - pairs.predictions.values)


_PREPARATIONS: dict[str, Callable[[Pairs], Weighted]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _of_labels(lambda hits, predicted, true: (2 * hits, predicted + true)),
    "precision": _of_labels(lambda hits, predicted, _: (hits, predicted)),
    "recall": _of_labels(lambda hits, _, true: (hits, true)),
    "r2": _r2,
    "mae": lambda pairs: _mean(_absolute_errors(pairs)),
    "rmse": _rmse,
    "mape": _mape,
}
