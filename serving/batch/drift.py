"""How far later data is from the training data, from counts alone.

The profile of a version holds counts and no rows, so tools that compare two tables do not apply.
PSI is the population stability index (N. Siddiqi, Credit Risk Scorecards, 2006, with its usual
bounds 0.1 and 0.25). Because a small sample differs by chance, a column is called drifted only if
Pearson's chi-squared test of homogeneity sees a difference too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

SHIFTED, DRIFTED = 0.1, 0.25
_SIGNIFICANT = 0.01
_HALF_ROW = 0.5  # what an empty bin counts, so that the logarithm is defined


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


def distance(reference: Sequence[float], found: Sequence[float]) -> Distance | None:
    """Compare counts over the same bins; None where one side has no rows."""
    before, after = np.asarray(reference, float), np.asarray(found, float)
    if before.sum() <= 0 or after.sum() <= 0:
        return None
    used = (before + after) > 0
    before, after = before[used], after[used]
    psi = _psi(before, after)
    p_value = 1.0
    if len(before) > 1:
        p_value = _chi_squared(np.stack([before, after]))
    if psi < SHIFTED or p_value > _SIGNIFICANT:
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
