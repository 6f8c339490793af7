"""Quality estimated without labels, from the probabilities of a binary classifier (CBPE).

If probabilities are calibrated, a row with probability p is positive with chance p, so any metric
can be computed from each row as a positive one with weight p and a negative one with weight 1 - p
(confidence-based performance estimation, as NannyML has it). Probabilities are calibrated anew by
an isotonic regression on the holdout. What a change of the relation between inputs and target does
to the quality cannot be seen in this way, and it says nothing about rows unlike those of training.
"""

from collections.abc import Callable

import numpy as np

from cloche.training.evaluation.predictions import Floats, Pairs, Predictions
from cloche.training.evaluation.weighted_metrics import Weighted, prepare
from cloche.training.monitor.quality import LabelledRows, signed

METRICS = ("roc_auc", "accuracy")  # for which the estimate was compared with realised quality


class Estimator:
    """Estimates metrics from predictions alone, with the calibration that a holdout gives."""

    def __init__(self, holdout: LabelledRows) -> None:
        from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415

        self._positive = holdout.pairs.predictions.target.positive_code
        self._calibration = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
            holdout.pairs.predictions.positive_probability(),
            holdout.pairs.truth == self._positive,
            sample_weight=holdout.weights,
        )

    def estimate(self, metric: str, predictions: Predictions) -> Weighted:
        """Return the estimated metric of n rows as a function of their weights, shape (n,)."""
        chance: Floats = self._calibration.predict(predictions.positive_probability())
        rows = np.arange(len(predictions))
        truth = np.repeat([self._positive, 1 - self._positive], len(rows))
        twice = Pairs(truth.astype(np.intp), predictions.take(np.concatenate([rows, rows])))
        function = prepare(metric, twice)
        return lambda weights: function(np.concatenate([weights * chance, weights * (1 - chance)]))

    def gap(self, metric: str, rows: LabelledRows) -> Callable[[Floats], float]:
        """Return realised minus estimated quality by weights, turned so that more is better."""
        realised = prepare(metric, rows.pairs)
        estimated, sign = self.estimate(metric, rows.pairs.predictions), signed(metric)
        return lambda weights: sign * (realised(weights) - estimated(weights))


def estimator_of(holdout: LabelledRows | None, metric: str) -> Estimator | None:
    """Return an estimator; None for models or metrics that it is not meant for."""
    if holdout is None or metric not in METRICS:
        return None
    predictions = holdout.pairs.predictions
    if predictions.target.task != "binary" or predictions.probabilities is None:
        return None
    return Estimator(holdout)
