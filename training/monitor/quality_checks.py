"""Checks of realised quality: against the holdout's days, against the estimate, and by slices.

What a metric usually is on a day is known from the days of the holdout, not from the whole of it:
within a day, rows are more alike. Only the first metric of the recipe is judged; the others follow
the share of positive labels, which changes with the seasons.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cloche.training.evaluation.predictions import Floats, Pairs
from cloche.training.monitor.alarms import Exceedance
from cloche.training.monitor.estimate import Estimator
from cloche.training.monitor.limits import RARE, WINDOWS, Measured, Usual, usual_of
from cloche.training.monitor.quality import LabelledRows, goodness, measured, signed
from cloche.training.monitor.version_reference import VersionReference

FEWEST = 50  # fewest labelled rows that are judged
_SLICE_DAYS, _SLICE_ROWS = 7, 200
_ORDER_DAYS = (1, 3)
_SMALLEST_CHANCE = 1e-3
_TOGETHER = {1: "", 3: ", of three days together", 7: ", of seven days together"}
_ADVICE = {
    "quality": "look at the inputs that drift and at the labels; if both are right, what the model "
    "learned has changed: train on new labels, with cloche train",
    "estimate": "inputs and scores look as in training and quality does not follow: check the "
    "labels and feeds that may be late; else train on new labels, with cloche train",
    "slice": "look at the rows of the slice: their feeds and their labels",
    "labels": "check how the labels were joined: the key, the row and the order of the rows",
}

Function = Callable[[LabelledRows], Callable[[Floats], float]]


@dataclass(frozen=True)
class QualityChecks:
    """The results for one version.

    Attributes:
        exceedances: What is beyond its limits.
        usual: What the judged metric usually is in a window of so many days of the holdout.
        slices: The slices in the last window, each with its metric and what is usual.
    """

    exceedances: tuple[Exceedance, ...] = ()
    usual: dict[int, Usual] = field(default_factory=dict)
    slices: tuple[dict[str, Any], ...] = ()


def check_quality(
    reference: VersionReference, rows: LabelledRows, estimator: Estimator | None,
    *, estimated_days: Iterable[int], share: float,
) -> QualityChecks:  # fmt: skip
    """Check the labelled rows of a version's finished days.

    Args:
        reference: What the version is compared with.
        rows: The rows of the finished days, in the order of the days.
        estimator: Estimates the judged metric; None if it cannot be estimated.
        estimated_days: Days on which the inputs are like those of training.
        share: The version's part of the budget.
    """
    holdout, metric = reference.holdout, reference.metrics[0]
    if holdout is None or not len(rows):
        return QualityChecks()
    number, rare = reference.number, RARE * share / len(WINDOWS)
    found = list[Exceedance]()

    def realised(some: LabelledRows) -> Callable[[Floats], float]:
        return goodness(metric, some)

    usual = _usual(holdout, realised)
    for window, value in _beyond(rows, realised, usual, rare):
        center = signed(metric) * usual[window.days].center
        here = signed(metric) * value.value
        says = f"{metric} is {here:.4f}{_TOGETHER[window.days]}, usually {center:.4f}"
        found.append(window.exceedance("quality", metric, number, says))
    if estimator is not None:
        alike = rows.take(np.isin(rows.days, list(estimated_days)))

        def gap(some: LabelledRows) -> Callable[[Floats], float]:
            return estimator.gap(metric, some)

        for window, value in _beyond(alike, gap, _usual(holdout, gap), rare):
            side = "below" if signed(metric) > 0 else "above"
            says = f"{metric} is {-value.value:.4f} {side} its estimate{_TOGETHER[window.days]}"
            found.append(window.exceedance("estimate", metric, number, says))
    slices, wrong = _check_slices(reference, rows, rare=RARE * share)
    found += [*wrong, *_check_order(holdout, rows, number, rare=RARE * share)]
    return QualityChecks(tuple(found), usual, slices)


@dataclass(frozen=True)
class _Window:
    """A window of `days` days that ends with `last`, and its deviation as a part of the limit."""

    last: int
    days: int
    excess: float

    def exceedance(self, check: str, subject: str, version: str, says: str) -> Exceedance:
        return Exceedance(check, subject, version, self.last, self.excess, says, _ADVICE[check])


def _usual(holdout: LabelledRows, function: Function) -> dict[int, Usual]:
    days = np.unique(holdout.days)
    found = {}
    for length in WINDOWS:
        windows = [holdout.window(day, length) for day in days[length - 1 :]]
        usual = usual_of([measured(function(some), some.weights) for some in windows], days=length)
        if usual is not None:
            found[length] = usual
    return found


def _beyond(
    rows: LabelledRows, function: Function, usual: dict[int, Usual], rare: float
) -> Iterable[tuple[_Window, Measured]]:
    """Yield windows in which a number is lower than the budget allows; the worst of each day."""
    for day in np.unique(rows.days):
        windows = []
        for length, expected in usual.items():
            some = rows.window(day, length)
            if len(some) >= FEWEST:
                value = measured(function(some), some.weights)
                excess = expected.excess(value, rare=rare)
                windows.append((_Window(int(day), length, excess), value))
        worst = max(windows, key=lambda one: one[0].excess, default=None)
        if worst is not None and worst[0].excess > 1:
            yield worst


def _check_slices(
    reference: VersionReference, rows: LabelledRows, *, rare: float
) -> tuple[tuple[dict[str, Any], ...], list[Exceedance]]:
    """Judge each slice in windows of a week by its weeks in the holdout."""
    holdout, metric = reference.holdout, reference.metrics[0]
    assert holdout is not None  # noqa: S101 (the caller checks it)
    usual = dict[tuple[str, str], Usual]()
    ends = np.unique(holdout.days)[_SLICE_DAYS - 1 :: _SLICE_DAYS]
    for column in rows.slices.keys() & holdout.slices.keys():
        for value in np.unique(holdout.slices[column]):
            part = holdout.take(holdout.slices[column] == value)
            weeks = [part.window(day, _SLICE_DAYS) for day in ends]
            large = [some for some in weeks if len(some) >= _SLICE_ROWS]
            found = usual_of([measured(goodness(metric, w), w.weights) for w in large], days=1)
            if found is not None:
                usual[column, str(value)] = found
    if not usual:
        return (), []
    # each slice has few weeks, and all of them together say how far weeks lie apart
    scale = math.sqrt(float(np.mean([one.scale**2 for one in usual.values()])))
    count = sum(one.windows for one in usual.values())
    table, exceedances = list[dict[str, Any]](), list[Exceedance]()
    days = np.unique(rows.days)
    for (column, value), own in sorted(usual.items()):
        pooled = replace(own, scale=scale, windows=count)
        part = rows.take(rows.slices[column] == value)
        for day in days:
            some = part.window(day, _SLICE_DAYS)
            if len(some) < _SLICE_ROWS:
                continue
            found_here = measured(goodness(metric, some), some.weights)
            excess = pooled.excess(found_here, rare=rare / len(usual))
            here, center = signed(metric) * found_here.value, signed(metric) * own.center
            if excess > 1:
                says = f"{metric} is {here:.4f}{_TOGETHER[_SLICE_DAYS]}, usually {center:.4f}"
                found_window = _Window(int(day), _SLICE_DAYS, excess)
                exceedances.append(
                    found_window.exceedance("slice", f"{column}={value}", reference.number, says)
                )
            if day == days[-1] and found_here.is_defined:
                table.append({"column": column, "value": value, "rows": len(some), "found": here,
                              "usual": center, "share": excess})  # fmt: skip
    return tuple(table), exceedances


def _check_order(
    holdout: LabelledRows, rows: LabelledRows, number: str, *, rare: float
) -> list[Exceedance]:
    """Find days whose labels fit the predictions of the row before or after them better.

    The likelihood ratio of both hypotheses is an e-value: by Markov's inequality it exceeds
    1 / `rare` with a chance of at most `rare` if the labels are right. It must also exceed all days
    of the holdout, because models are not quite calibrated. And the predictions of the other row
    must fit better than the labels' mean: they do not where what was learned has turned around.
    """
    if rows.pairs.predictions.probabilities is None:
        return []
    found = []
    rare /= 2 * len(_ORDER_DAYS)
    for shift, says in ((1, "next"), (-1, "previous")):
        usual, here = _evidence(holdout, shift), _evidence(rows, shift)
        for length in _ORDER_DAYS:
            limit = max(-math.log(rare), 1.1 * max(_sums(usual, length).values(), default=0.0))
            for day, evidence in _sums(here, length).items():
                if evidence > limit:
                    text = (
                        f"they fit the predictions of the {says} row better{_TOGETHER[length]} "
                        f"(log likelihood ratio {evidence:.0f}, alarm above {limit:.0f})"
                    )
                    window = _Window(day, length, evidence / limit)
                    found.append(window.exceedance("labels", "labels", number, text))
    return found


def _evidence(rows: LabelledRows, shift: int) -> dict[int, float]:
    """Return day → log likelihood ratio of labels that belong to another row."""
    found = {}
    for day in np.unique(rows.days):
        pairs = rows.window(day, 1).pairs
        if len(pairs) >= FEWEST:
            found[int(day)] = _log_likelihood_ratio(pairs, shift)
    return found


def _log_likelihood_ratio(pairs: Pairs, shift: int) -> float:
    chances = np.asarray(pairs.predictions.probabilities)
    chances = np.clip(chances, _SMALLEST_CHANCE, 1 - _SMALLEST_CHANCE)
    rows = np.arange(max(-shift, 0), len(pairs) - max(shift, 0))
    truth = pairs.truth[rows]
    shares = np.bincount(truth) / len(truth)
    shifted = np.log(chances[rows + shift, truth])
    others = np.log(chances[rows, truth]), np.log(shares[truth])
    return min(float((shifted - other).sum()) for other in others)


def _sums(by_day: dict[int, float], length: int) -> dict[int, float]:
    return {
        day: sum(by_day.get(day - back, 0.0) for back in range(length)) for day in sorted(by_day)
    }
