"""Measures the drift of scored data from the training data, from counts alone.

The profile of a version holds counts and no rows, so tools that compare two tables do not apply.
PSI is the population stability index (N. Siddiqi, Credit Risk Scorecards, 2006, with its usual
bounds 0.1 and 0.25). Because a small sample differs by chance, a column is called drifted only if
Pearson's chi-squared test of homogeneity finds a difference too.

If the training rows had timestamps, the profile also records how far single days and weeks lay from
all other rows (`cloche.training.packaging.period_baselines`). A batch is then judged by `judge`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SHIFTED, DRIFTED = 0.1, 0.25
_SIGNIFICANT = 0.01
_HALF_ROW = 0.5  # the count used for an empty bin, so that the logarithm is defined
# Measure → smallest values that may be called shifted and drifted, whatever is usual.
_FLOORS = {
    "psi": (SHIFTED, DRIFTED), "shift": (0.25, 0.5), "outside": (0.05, 0.1), "missing": (0.05, 0.1)
}  # fmt: skip
RARE = 0.05  # accepted share of ordinary batches with any measure beyond its limit
_MARGIN = 1.1  # factor above the largest usual value


@dataclass(frozen=True, slots=True)
class Distance:
    """The difference between two distributions over the same bins.

    Attributes:
        psi: The population stability index; 0 for equal shares.
        p_value: The p-value of the chi-squared test; 1 if there is nothing to test.
        verdict: `stable`, `shifted` or `drifted`.
    """

    psi: float
    p_value: float
    verdict: str


@dataclass(frozen=True, slots=True)
class DriftMeasure:
    """One measure of one column or score, with its usual value.

    Attributes:
        measure: `psi`, `shift`, `outside` or `missing`; see
            `cloche.training.packaging.period_baselines`.
        found: The value of the measure in the batch.
        usual: The 95 % quantile of the measure over the periods of training.
        red: The value above which the measure counts as drifted.
        verdict: `stable`, `shifted` or `drifted`.
    """

    measure: str
    found: float
    usual: float
    red: float
    verdict: str

    @property
    def share(self) -> float:
        """The value as a fraction of `red`."""
        return self.found / self.red


def judge(
    found: Mapping[str, float], usual: Mapping[str, Mapping[str, float]], *, comparisons: int,
    chance: Mapping[str, float], rare: float = RARE,
) -> list[DriftMeasure]:  # fmt: skip
    """Judge the measures of a column by their values in single days, or weeks, of training.

    A measure is shifted above the 99 % quantile of the periods. It is drifted if it exceeds two
    limits: the largest period by a margin, and the value that no measure reaches in `1 - rare` of
    the ordinary batches. The latter is extrapolated by a Pareto tail through the 95 and 99 %
    quantiles (I. Weissman, JASA 73, 1978), because there are too few periods to measure it.

    Args:
        found: Measure → value in the batch.
        usual: Measure → quantile → value over the periods of training.
        comparisons: The number of measures that are judged in all columns together.
        chance: Measure → what is added to its limits; see `chance`.
        rare: The accepted share of ordinary batches with any measure beyond its limit.
    """
    judged = []
    for measure, value in found.items():
        if measure not in usual:
            continue
        p95, p99, most = (usual[measure][name] for name in ("0.95", "0.99", "1.0"))
        index = math.log(p99 / p95) / math.log(5) if p95 > 0 else 0.0
        tail = p99 * max(comparisons * 0.01 / rare, 1.0) ** index
        amber, red = _FLOORS[measure]
        amber = max(amber, p99) + chance[measure]
        red = max(red, _MARGIN * most, tail) + chance[measure]
        verdict = "drifted" if value > red else "shifted" if value > amber else "stable"
        judged.append(DriftMeasure(measure, value, p95, red, verdict))
    return judged


def chance(
    rows: int, piece: int, bins: int, comparisons: int, rare: float = RARE
) -> dict[str, float]:
    """Return measure → the increase by chance in a batch with fewer rows than a period.

    The PSI of equal distributions is about chi-squared divided by the rows, a mean is about normal,
    and n rows may lack values whose share is up to 3/n (the rule of three).

    Args:
        rows: The number of rows of the batch.
        piece: The number of rows of a usual period.
        bins: The number of bins of the column.
        comparisons: The number of measures that are judged in all columns together.
        rare: The accepted share of ordinary batches with any measure beyond its limit.
    """
    from scipy.special import chdtri, ndtri  # noqa: PLC0415  # slow; see `render.prepare`

    fewer = max(1 / max(rows, 1) - 1 / max(piece, 1), 0.0)
    each = rare / comparisons
    return {
        "psi": float(chdtri(max(bins - 1, 1), each)) * fewer,
        "shift": float(-ndtri(each / 2)) * math.sqrt(fewer),
        "outside": 3 * fewer,
        "missing": 3 * fewer,
    }


def distance(
    reference: Sequence[float], found: Sequence[float], comparisons: int = 1
) -> Distance | None:
    """Compare counts over the same bins; None if one side has no rows.

    The significance level is divided by `comparisons`, the number of tests that are made.
    """
    before, after = np.asarray(reference, float), np.asarray(found, float)
    if before.sum() <= 0 or after.sum() <= 0:
        return None
    used = (before + after) > 0
    before, after = before[used], after[used]
    psi = _psi(before, after)
    p_value = 1.0
    if len(before) > 1:
        p_value = _chi_squared(np.stack([before, after]))
    if psi < SHIFTED or p_value > _SIGNIFICANT / comparisons:
        return Distance(psi, p_value, "stable")
    return Distance(psi, p_value, "shifted" if psi < DRIFTED else "drifted")


def _chi_squared(counts: "np.ndarray") -> float:
    """Return the p-value of Pearson's test, as `scipy.stats.chi2_contingency` does.

    Importing `scipy.stats` instead would cost every job half a second.
    """
    from scipy.special import chdtrc  # noqa: PLC0415  # slow; see `render.prepare`

    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    expected = np.outer(rows, columns) / counts.sum()
    distances = np.abs(counts - expected)
    if len(columns) == 2:  # Yates' correction
        distances -= np.minimum(0.5, distances)
    return float(chdtrc(len(columns) - 1, (distances**2 / expected).sum()))


def _psi(before: "np.ndarray", after: "np.ndarray") -> float:
    p = np.maximum(before, _HALF_ROW) / before.sum()
    q = np.maximum(after, _HALF_ROW) / after.sum()
    total = float(((q - p) * np.log(q / p)).sum())
    return total if math.isfinite(total) else math.inf
