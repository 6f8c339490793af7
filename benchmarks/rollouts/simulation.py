"""Rollouts without a difference, and versions that fail more often, failure by failure."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import numpy as np

from cloche.rollout.abort import FEWEST_EVENTS, AbortEvidence
from cloche.rollout.recent_keys import RecentKeys
from cloche.rollout.two_rates import Rate, log_e_within

STEPS = (1.0, 5.0, 25.0, 50.0)
ALPHA = 0.01
_LIMIT = math.log(2 / ALPHA)  # half of alpha is for servers that look alone
_CALLERS = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed request.

    Attributes:
        seconds: Time.
        percent: Share of the canary.
        caller: Number of the caller.
        is_canary: Whether the canary failed it, and not production.
    """

    seconds: float
    percent: float
    caller: int
    is_canary: bool


Traffic = Callable[[Random, int], Iterator[Failure]]


def aborted_after(failures: Iterator[Failure], window: float | None) -> tuple[int, int] | None:
    """Return how many failures were counted until the abort, the canary's and all; None without.

    Args:
        failures: Failed requests in their order; the policy looks after each.
        window: Seconds in which a caller counts once; None to count every failure.
    """
    evidence, keys, canary, total = AbortEvidence(), RecentKeys(window or 0.0), 0, 0
    for failure in failures:
        key = failure.caller.to_bytes(8, "big")
        if window is not None and not keys.is_first(key, failure.seconds):
            continue
        total += 1
        canary += failure.is_canary
        evidence.add(failure.percent, **{"canary" if failure.is_canary else "production": 1})
        if canary >= FEWEST_EVENTS and evidence.log_e >= _LIMIT:
            return canary, total
    return None


def independent(random: Random, failures: int) -> Iterator[Failure]:
    """Yield failures of callers that come once, while the share goes through all steps."""
    for number in range(failures):
        percent = STEPS[number * len(STEPS) // failures]
        yield Failure(20.0 * number, percent, number, 100 * random.random() < percent)


def bursts(random: Random, failures: int) -> Iterator[Failure]:
    """Yield the same, but each caller repeats the failed request at once, up to ten times."""
    for failure in independent(random, failures):
        for _ in range(random.randint(1, 10)):
            yield failure


def returning(random: Random, failures: int) -> Iterator[Failure]:
    """Yield failures of few callers, who keep their arm.

    One in ten of 200 callers fails again and again, whatever version answers.
    """
    positions = [100 * random.random() for _ in range(_CALLERS // 10)]
    for number in range(failures):
        percent = STEPS[number * len(STEPS) // failures]
        caller = random.randrange(len(positions))
        yield Failure(20.0 * number, percent, caller, positions[caller] < percent)


def false_aborts(traffic: Traffic, window: float | None, rollouts: int, failures: int) -> int:
    """Return how many of the rollouts without a difference were aborted."""
    return sum(
        aborted_after(traffic(Random(seed), failures), window) is not None  # noqa: S311
        for seed in range(rollouts)
    )


def failures_until_abort(percent: float, ratio: float, seed: int) -> tuple[int, int]:
    """Return how many failures of the canary, and of both arms, abort a worse version."""
    random = Random(seed)  # noqa: S311
    odds = ratio * percent / (100 - percent)

    def failures() -> Iterator[Failure]:
        while True:
            yield Failure(0.0, percent, 0, random.random() * (1 + odds) < odds)

    found = aborted_after(failures(), None)
    assert found is not None, "the generator does not end"  # noqa: S101
    return found


def requests_to_advance(percent: float, following: float, rate: float, margin: float) -> int:
    """Return how many requests of the canary prove a version that fails exactly as production.

    Args:
        percent: Share of the canary.
        following: Share after the step.
        rate: Failure rate of both arms.
        margin: Tolerated difference for all requests.
    """
    requests = 100.0
    others = (100 - percent) / percent
    while True:
        canary = Rate(round(requests), round(requests * rate))
        production = Rate(round(requests * others), round(requests * others * rate))
        if log_e_within(canary, production, margin=margin * 100 / following) >= -math.log(ALPHA):
            return round(requests)
        requests *= 1.02


def false_advances(rollouts: int, rate: float, margin: float) -> int:
    """Return how often a version that is worse by the margin looks proven in a step of 50 percent.

    There are looks at 100 requests and after every 30 percent more, up to 30,000.
    """
    random = np.random.default_rng(0)
    return sum(_is_advanced(random, rate, margin) for _ in range(rollouts))


def _is_advanced(random: np.random.Generator, rate: float, margin: float) -> bool:
    canary, production, look = Rate(), Rate(), 100.0
    while look < 30_000:
        more = round(look) - canary.requests
        canary += Rate(more, int(random.binomial(more, rate + margin)))
        production += Rate(more, int(random.binomial(more, rate)))
        if log_e_within(canary, production, margin=margin) >= -math.log(ALPHA):
            return True
        look *= 1.3
    return False
