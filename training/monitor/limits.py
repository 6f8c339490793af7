"""The budget of false alarms, and the limits that keep to it.

Over all columns, slices and versions of a model, one false alarm a quarter is accepted. The budget
is divided evenly among the days of a quarter, the checks, and what a check looks at on one day
(Bonferroni). What is usual comes from days of the training: drift from the profile, the rest from
the days of the holdout, on which the version was measured and not fitted. This module knows neither
models nor logs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CHECKS = (
    "drift", "standstill", "gone", "threshold", "quality", "estimate", "slice", "labels",
)  # fmt: skip
QUARTER = 90  # days, in which one false alarm is accepted
WINDOWS = (
    1,
    3,
    7,
)  # days that are looked at together: a large fall shows at once, a small one late
RARE = 1 / (QUARTER * len(CHECKS))
"""The accepted chance of a false alarm of one check on one day."""

_FEWEST = 5  # windows from which a spread can be estimated
_MARGIN = 1.1  # factor beyond the most extreme usual value, as for drift


@dataclass(frozen=True)
class Measured:
    """A number that was measured on the rows of a window of days, with its standard error."""

    value: float
    error: float

    @property
    def is_defined(self) -> bool:
        """Whether the rows define both."""
        return math.isfinite(self.value) and math.isfinite(self.error) and self.error > 0


@dataclass(frozen=True)
class Usual:
    """What a number usually is in a window of days.

    Attributes:
        center: Mean over the windows of the holdout.
        scale: How many standard errors the windows lie from it (root mean square), at least 1:
            days differ from each other by more than their rows do.
        windows: Number of windows that do not overlap.
    """

    center: float
    scale: float
    windows: int

    def excess(self, found: Measured, *, rare: float) -> float:
        """Return by what part of the limit a number lies below the usual one; an alarm above 1.

        The limit is the one-sided prediction bound for another window (Student's t).
        """
        from scipy.special import stdtrit  # noqa: PLC0415  # slow, as in `cloche.drift.judgement`

        if not found.is_defined:
            return 0.0
        quantile = float(stdtrit(max(self.windows - 1, 2), 1 - rare))
        limit = quantile * self.scale * math.sqrt(1 + 1 / self.windows) * found.error
        return (self.center - found.value) / limit


def usual_of(found: Sequence[Measured], *, days: int) -> Usual | None:
    """Return what is usual by the windows of the holdout; None if they are too few.

    Args:
        found: The windows of `days` days, which overlap.
        days: Number of days of each.
    """
    defined = [one for one in found if one.is_defined]
    windows = len(defined) // days
    if windows < _FEWEST:
        return None
    values, errors = (
        np.array([getattr(one, name) for one in defined]) for name in ("value", "error")
    )
    center = float(values.mean())
    scale = float(np.sqrt((((values - center) / errors) ** 2).mean()))
    return Usual(center, max(scale, 1.0), windows)


def rare_value(usual: Sequence[float], *, rare: float) -> float:
    """Return the value that is exceeded with the chance `rare`, by a Pareto tail.

    As for drift, it goes through the 95 and 99 % quantiles (I. Weissman, JASA 73, 1978), and lies
    beyond the largest value by a margin.
    """
    p95, p99, most = np.quantile(np.asarray(usual, float), [0.95, 0.99, 1.0])
    index = math.log(p99 / p95) / math.log(5) if p95 > 0 else 0.0
    return float(max(_MARGIN * most, p99 * max(0.01 / rare, 1.0) ** index))
