"""Bootstrap intervals: by how much chance may have moved a metric or a difference of two models.

Rows of the holdout are drawn with replacement, as many as there are; the spread of the metric over
such draws estimates its sampling error (Efron and Tibshirani, An Introduction to the Bootstrap,
1993, percentile method). For two models each draw takes the same rows for both, so that rows which
are hard for both do not widen the interval of the difference. Copies of one record are drawn
together: drawn separately, they would count as evidence several times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cloche.training.errors import TrainingError
from cloche.training.evaluation.metrics import score
from cloche.training.evaluation.predictions import Floats, Pairs
from cloche.training.evaluation.weighted_metrics import prepare
from cloche.training.measurements import Difference
from cloche.training.recipe.metric_catalog import METRICS

RecordNumbers = npt.NDArray[np.intp]

# Draws in which a metric is not defined (one class only) are left out; with a larger share of them,
# the interval would describe the other draws instead of the metric.
_MOST_UNDEFINED = 0.1


@dataclass(frozen=True)
class Interval:
    """A metric's value and its two-sided interval, with `nan` bounds if too few draws define it."""

    value: float
    low: float
    high: float
    confidence: float


def intervals(
    pairs: Pairs,
    metrics: Sequence[str],
    *,
    resamples: int,
    confidence: float = 0.95,
    seed: int,
    records: RecordNumbers | None = None,
    weights: Floats | None = None,
) -> dict[str, Interval]:
    """Return the value of each metric with its bootstrap interval.

    Args:
        pairs: True values and predictions, n rows.
        metrics: Names of the metrics.
        resamples: Number of draws.
        confidence: Confidence level of the intervals.
        seed: Seed for the draws.
        records: (n,) Number of each row's record; by default every row is a record.
        weights: (n,) Weight of each row; by default all weigh the same.
    """
    functions = [prepare(metric, pairs) for metric in metrics]
    each = 1.0 if weights is None else weights
    draws = np.array(
        [
            [function(counts * each) for function in functions]
            for counts in _draws(len(pairs), resamples, seed, records)
        ]
    ).reshape(resamples, len(metrics))
    return {
        metric: Interval(
            score(metric, pairs) if weights is None else function(weights),
            *_two_sided(draws[:, column], confidence),
            confidence,
        )
        for column, (metric, function) in enumerate(zip(metrics, functions, strict=True))
    }


def paired_differences(
    candidate: Pairs,
    production: Pairs,
    metrics: Sequence[str],
    *,
    resamples: int,
    confidence: float = 0.95,
    seed: int,
    records: RecordNumbers | None = None,
) -> dict[str, Difference]:
    """Return by metric how much better `candidate` is; each draw takes the same rows for both.

    The other arguments are those of `intervals`.

    Raises:
        TrainingError: The two predict different rows.
    """
    if not np.array_equal(candidate.truth, production.truth):
        raise TrainingError(
            "a paired comparison needs predictions of both models for the same rows"
        )
    prepared = [(prepare(metric, candidate), prepare(metric, production)) for metric in metrics]
    signs = [1.0 if METRICS[metric].greater_is_better else -1.0 for metric in metrics]
    gains = np.array(
        [
            [
                sign * (ours(counts) - theirs(counts))
                for sign, (ours, theirs) in zip(signs, prepared, strict=True)
            ]
            for counts in _draws(len(candidate), resamples, seed, records)
        ]
    ).reshape(resamples, len(metrics))
    differences = {}
    for column, (metric, sign) in enumerate(zip(metrics, signs, strict=True)):
        ours, theirs = score(metric, candidate), score(metric, production)
        differences[metric] = Difference(
            ours,
            theirs,
            sign * (ours - theirs),
            *_two_sided(gains[:, column], confidence),
            _quantiles(gains[:, column], [1 - confidence])[0],
            confidence,
        )
    return differences


def _draws(rows: int, resamples: int, seed: int, records: RecordNumbers | None) -> Iterator[Floats]:
    """Yield how often each row is drawn, as one vector of counts for each resample."""
    generator = np.random.default_rng(seed)
    count = rows if records is None else int(records.max()) + 1
    for _ in range(resamples):
        drawn = np.bincount(generator.integers(0, count, count), minlength=count)
        counts = drawn.astype(np.float64)
        yield counts if count == rows or records is None else counts[records]


def _two_sided(draws: Floats, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = _quantiles(draws, [tail, 1 - tail])
    return low, high


def _quantiles(draws: Floats, shares: list[float]) -> list[float]:
    defined = draws[~np.isnan(draws)]
    if len(defined) < (1 - _MOST_UNDEFINED) * len(draws):
        return [float("nan")] * len(shares)
    return [float(quantile) for quantile in np.quantile(defined, shares)]
