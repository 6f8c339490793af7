"""Evidence about the rates of bad requests of two arms, at any number of looks.

The canary is within what is tolerated if `canary rate <= ratio * production rate + margin`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from cloche.rollout.abort import log_mean_exp

# The factors exp(t) of the bets: many near 1, for small differences, which take many requests to
# prove, and few near 0, for great ones.
_BELOW = tuple(1 - 0.98 * 0.72**k for k in range(20))
_ABOVE = tuple(1 / tilt for tilt in _BELOW)
_GOLDEN = (math.sqrt(5) - 1) / 2
_SEARCH_STEPS = 64


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests of an arm were bad.

    Attributes:
        requests: Number of requests.
        bad: Number of those that were bad.
    """

    requests: int = 0
    bad: int = 0

    @property
    def value(self) -> float:
        """The share of bad requests, 0 without requests."""
        return self.bad / self.requests if self.requests else 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(self.requests + other.requests, self.bad + other.bad)

    def __mul__(self, factor: float) -> Self:
        return type(self)(round(self.requests * factor), round(self.bad * factor))


def log_e_within(canary: Rate, production: Rate, *, ratio: float = 1.0, margin: float) -> float:
    """Return the logarithm of the evidence that the canary is within what is tolerated.

    If the canary is not, the chance that the evidence ever reaches 1/alpha is at most alpha. If S
    of n requests are bad and their mean rate is m, `exp(t*S) / (1 - m + m*exp(t))^n` is a
    supermartingale for each t. That also holds if the rate changes with time and m is its mean so
    far, because the logarithm is concave. A mixture over t < 0 is evidence that an arm's mean is
    below m, and one over t > 0 that it is above. The product for both arms is a supermartingale,
    too. Its minimum over all pairs of means that are not within is the evidence. After Howard,
    Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
    Annals of Statistics 2021 (arXiv:1810.08240): sub-Bernoulli processes and discrete mixtures.

    Args:
        canary: Requests of the canary, at a share that did not change.
        production: Requests of production in the same time.
        ratio: Tolerated ratio of rates, above 0.
        margin: Tolerated difference of rates beyond the ratio. At 1 everything is within.
    """
    if margin >= 1:
        return math.inf
    return _least(
        lambda mean: log_e_below(canary, ratio * mean + margin) + log_e_above(production, mean),
        highest=min(1.0, (1 - margin) / ratio),
    )


def log_e_beyond(canary: Rate, production: Rate, *, ratio: float = 1.0, margin: float) -> float:
    """Return the logarithm of the evidence that the canary is beyond what is tolerated.

    The arguments and the construction are those of `log_e_within`.
    """
    return _least(
        lambda mean: log_e_above(canary, ratio * mean + margin) + log_e_below(production, mean),
        highest=min(1.0, (1 - margin) / ratio),
    )


def log_e_below(arm: Rate, mean: float) -> float:
    """Return the logarithm of the evidence that the mean rate of an arm is below `mean`."""
    return _mixture(arm, mean, _BELOW)


def log_e_above(arm: Rate, mean: float) -> float:
    """Return the logarithm of the evidence that the mean rate of an arm is above `mean`."""
    return _mixture(arm, mean, _ABOVE)


def _mixture(arm: Rate, mean: float, tilts: tuple[float, ...]) -> float:
    return log_mean_exp(
        [arm.bad * math.log(x) - arm.requests * math.log1p(mean * (x - 1)) for x in tilts]
    )


def _least(log_e: Callable[[float], float], highest: float) -> float:
    """Return the least value of a convex function from 0 to `highest`."""
    low, high = 0.0, highest
    least = min(log_e(low), log_e(high))
    for _ in range(_SEARCH_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        at_left, at_right = log_e(left), log_e(right)
        least = min(least, at_left, at_right)
        low, high = (low, right) if at_left < at_right else (left, high)
    return least
