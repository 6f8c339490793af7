"""Evidence that the canary fails more often than production: an E-process over bad events.

The evidence may be read after every event, and counting may stop at any time. If the canary is no
worse than tolerated, the chance that the evidence ever reaches 1/alpha is at most alpha (Ville
1939).
"""

import math
from functools import lru_cache

FEWEST_EVENTS = 3  # of the canary, below which nothing aborts, so that no single incident does

# Ratios of failure rates that the evidence bets on, as multiples of the tolerated one. The smallest
# decides which differences are ever found, the greatest how few failures abort a broken version.
_RATIOS = (1.3, 2.0, 5.0, 20.0, 100.0)


class AbortEvidence:
    """The evidence that the ratio of failure rates, canary to production, is above a tolerated one.

    Only bad events count, each with the canary's share `w` when it happened. If the canary fails
    `r` times as often as production, a bad event is the canary's with the chance
    `theta(r) = r*w / (r*w + 1 - w)`, whatever the traffic is and however often both fail. The
    evidence is a mixture of likelihood ratios of `theta(r)` to `theta(tolerated)` over several `r`.
    Each has a mean of at most 1 if the true ratio is at most the tolerated one.
    After Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022
    (arXiv:2011.03567), section 4, with a discrete mixture, so that the share may change.

    Bad events must be independent. A caller keeps its arm, so it counts once (`RecentKeys`), and
    requests that fail together (a lost host, a batch) are one event. A request that both arms fail
    need not be counted: leaving it out can only favour the canary.

    Args:
        tolerated_ratio: Ratio of failure rates that is no reason to abort, above 0.
    """

    def __init__(self, tolerated_ratio: float = 1.0) -> None:
        self._tolerated = tolerated_ratio
        self._logs = [0.0] * len(_RATIOS)

    def add(self, percent: float, *, canary: int = 0, production: int = 0) -> None:
        """Add bad events that happened at a share of the canary; their order makes no difference.

        Args:
            percent: Share of the canary in percent. At 0 and at 100 there is nothing to compare.
            canary: Number of bad events of the canary.
            production: Number of bad events of production.
        """
        if 0 < percent < 100:
            for index, (of_canary, of_production) in enumerate(_logs(self._tolerated, percent)):
                self._logs[index] += canary * of_canary + production * of_production

    @property
    def log_e(self) -> float:
        """The natural logarithm of the evidence."""
        return log_mean_exp(self._logs)


def log_mean_exp(logs: list[float]) -> float:
    """Return the logarithm of the mean of exponentials, without overflow."""
    top = max(logs)
    return top + math.log(math.fsum(math.exp(one - top) for one in logs) / len(logs))


@lru_cache(maxsize=64)
def _logs(tolerated: float, percent: float) -> tuple[tuple[float, float], ...]:
    """Return for each r the logarithms of theta and of 1 - theta, relative to the tolerated r."""
    odds = tolerated * percent / (100 - percent)
    shrinks = [math.log((1 + odds) / (1 + ratio * odds)) for ratio in _RATIOS]
    return tuple((shrink + math.log(r), shrink) for shrink, r in zip(shrinks, _RATIOS, strict=True))
