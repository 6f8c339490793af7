"""How far later data is from the training data, from counts alone.

The profile of a version holds counts and no rows, so tools that compare two tables do not apply.
PSI is the population stability index (N. Siddiqi, Credit Risk Scorecards, 2006, with its usual
bounds 0.1 and 0.25). Because a small sample differs by chance, a column is called drifted only if
Pearson's chi-squared test of homogeneity sees a difference too.

A profile whose training rows had times says more: how far single days and weeks lay from all others
(`cloche.training.packaging.period_baselines`). Then a batch is judged by that, see `judge`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, chdtri, ndtri

SHIFTED, DRIFTED = 0.1, 0.25
_SIGNIFICANT = 0.01
_HALF_ROW = 0.5  # what an empty bin counts, so that the logarithm is defined
# Measure → what is too little to speak of, whatever is usual: to be shifted, and to be drifted.
_FLOORS = {
    "psi": (SHIFTED, DRIFTED), "shift": (0.25, 0.5), "outside": (0.05, 0.1), "missing": (0.05, 0.1)
}  # fmt: skip
RARE = 0.05  # of ordinary batches may have a look beyond its limit
_MARGIN = 1.1  # beyond the largest usual one


@dataclass(frozen=True, slots=True)
class Distance:
    """How two distributions over the same bins differ.

    Attributes:
        psi: Population stability index; 0 for equal shares.
        p_value: Of the chi-squared test; 1 where there is nothing to test.
        verdict: `stable`, `shifted` or `drifted`.
    """

    psi: float
    p_value: float
    verdict: str


@dataclass(frozen=True, slots=True)
class DriftMeasure:
    """One measure of one column or score, beside what is usual for it.

    Attributes:
        measure: `psi`, `shift`, `outside` or `missing`; see
            `cloche.training.packaging.period_baselines`.
        found: Its value now.
        usual: What 95 % of the pieces of the training rows stay below.
        red: From where on it is called drifted.
        verdict: `stable`, `shifted` or `drifted`.
    """

    measure: str
    found: float
    usual: float
    red: float
    verdict: str

    @property
    def share(self) -> float:
        """Which part of the way to `red` it has gone."""
        return self.found / self.red


def judge(
    found: Mapping[str, float], usual: Mapping[str, Mapping[str, float]], *, looks: int,
    chance: Mapping[str, float],
) -> list[DriftMeasure]:  # fmt: skip
    """Judge the measures of a column by what they are in single days, or weeks, of training.

    Shifted is what 99 % of them stay below. Drifted is what is larger, by a margin, than in any of
    them, and beyond the value that all looks together pass in one of 20 ordinary batches: the tail
    of Pareto through 95 and 99 % (I. Weissman, JASA 73, 1978), because few of them are so large.

    Args:
        found: Measure → value now.
        usual: Measure → quantile → value in training.
        looks: How many measures are judged in all columns.
        chance: Measure → what a batch that is smaller than theirs may add.
    """
    judged = []
    for measure, value in found.items():
        if measure not in usual:
            continue
        p95, p99, most = (usual[measure][name] for name in ("0.95", "0.99", "1.0"))
        index = math.log(p99 / p95) / math.log(5) if p95 > 0 else 0.0
        tail = p99 * max(looks * 0.01 / RARE, 1.0) ** index
        amber, red = _FLOORS[measure]
        amber = max(amber, p99) + chance[measure]
        red = max(red, _MARGIN * most, tail) + chance[measure]
        verdict = "drifted" if value > red else "shifted" if value > amber else "stable"
        judged.append(DriftMeasure(measure, value, p95, red, verdict))
    return judged


def chance(rows: int, piece: int, bins: int, looks: int) -> dict[str, float]:
    """What each measure may have more than in pieces of `piece` rows, because there are fewer.

    The index of equal distributions is about chi-squared over the rows, a mean is about normal, and
    a share that was not seen in n rows may be 3/n.
    """
    fewer = max(1 / max(rows, 1) - 1 / max(piece, 1), 0.0)
    rare = RARE / looks
    return {
        "psi": float(chdtri(max(bins - 1, 1), rare)) * fewer,
        "shift": float(-ndtri(rare / 2)) * math.sqrt(fewer),
        "outside": 3 * fewer,
        "missing": 3 * fewer,
    }


def distance(reference: Sequence[float], found: Sequence[float], looks: int = 1) -> Distance | None:
    """Compare counts over the same bins; None where one side has no rows.

    The test is as strict as it must be where `looks` columns are tested.
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
    if psi < SHIFTED or p_value > _SIGNIFICANT / looks:
        return Distance(psi, p_value, "stable")
    return Distance(psi, p_value, "shifted" if psi < DRIFTED else "drifted")


def _chi_squared(counts: "np.ndarray") -> float:
    """The p-value of Pearson's test, as `scipy.stats.chi2_contingency` has it.

    Importing `scipy.stats` for these lines would take every job half a second.
    """
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
