"""E-values beside their limits, and the verdict from them, in plain words."""

import math
from dataclasses import dataclass
from typing import Literal

from cloche.rollout.two_rates import Rate

_GREATEST = 40.0  # of the logarithms of e-values that are told


@dataclass(frozen=True, slots=True)
class EValue:
    """Evidence for a claim, beside its limit.

    If the claim is untrue, the chance that the e-value ever reaches 1/alpha is at most alpha. All
    names with `log_e` are natural logarithms of e-values.

    Attributes:
        name: What is counted, a colon, and the claim, like `failures: no worse`.
        log_e: Natural logarithm of the e-value.
        log_limit: Natural logarithm of the limit at which it is proven.
        sentence: What it says, with numbers and limits.
        needed: Requests of the canary with which it would be proven, if the rates stay as they are;
            None if that is unknown, or no number proves it.
    """

    name: str
    log_e: float
    log_limit: float
    sentence: str
    needed: int | None = None

    @property
    def proven(self) -> bool:
        """Whether the evidence has reached its limit."""
        return self.log_e >= self.log_limit


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a rollout.

    Attributes:
        decision: `advance` to the next step, `hold` in this one, or `abort`.
        reasons: Sentences that say why.
        evidence: All e-values, including those that did not decide.
    """

    decision: Literal["advance", "hold", "abort"]
    reasons: tuple[str, ...]
    evidence: tuple[EValue, ...] = ()


def one_of(log_e: float) -> int:
    """Return of how many rollouts at most one comes this far if the claim is untrue."""
    return round(math.exp(min(max(log_e, 0.0), _GREATEST)))


def percentage(share: float) -> str:
    """Return a share of 1 as percent, with three digits."""
    return f"{100 * share:.3g} %"


def describe(rate: Rate, unit: str = "requests") -> str:
    """Return a rate in words: how many of how many, and the percentage."""
    return f"{rate.bad:,} of {rate.requests:,} {unit} ({percentage(rate.value)})"
