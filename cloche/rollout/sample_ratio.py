"""Evidence that the arms do not get the shares of callers that they should get."""

from collections.abc import Iterable
from math import lgamma, log

_CONCENTRATION = 100.0


def log_e_mismatch(counts: Iterable[tuple[float, int, int]]) -> float:
    """Return the logarithm of the evidence that callers are not assigned by the canary's share.

    If a router, a cache or a lost count favours an arm, the arms cannot be compared. The evidence
    is a Bayes factor, for each share anew: the canary's callers as Beta-binomial around the share,
    against Binomial. Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data",
    NeurIPS 2022 (arXiv:2011.03567), section 3, with the concentration 100.

    Args:
        counts: For each share: the share in percent, and the numbers of the callers of canary and
            production. A caller counts once, because all of a caller's requests have one arm.
    """
    return sum(_log_bayes_factor(percent / 100, *callers) for percent, *callers in counts)


def _log_bayes_factor(share: float, canary: int, production: int) -> float:
    if not 0 < share < 1:
        return 0.0
    a, b = _CONCENTRATION * share, _CONCENTRATION * (1 - share)
    posterior = lgamma(a + canary) + lgamma(b + production) - lgamma(a + b + canary + production)
    prior = lgamma(a) + lgamma(b) - lgamma(a + b)
    return posterior - prior - canary * log(share) - production * log(1 - share)
