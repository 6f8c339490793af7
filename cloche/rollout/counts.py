"""What one server or all of them counted in a rollout, for each share and arm."""

import json
from collections import Counter
from typing import Literal, Self

from cloche.rollout.two_rates import Rate

Arm = Literal["production", "canary", "shadow", "baseline"]
Bad = Literal["failures", "slow", "differences"]
Counted = Bad | Literal["requests", "callers", "failure_events", "untimed"]


class RolloutCounts:
    """Numbers that add up over servers and need no order.

    Arms are `production` and `canary`; `shadow`, whose answers are compared with production's; and
    `baseline`, where production is compared with itself. What is counted:

    - `requests`: requests that an arm got at a share, also those that it failed; a request that
      production answers in the canary's place is the canary's; of shadow and baseline those that
      were compared;
    - `callers`: those of an arm at a share, each once, and by one server: callers that are counted
      again are no new evidence. Whoever counts stops after 10,000 or so, which are enough;
    - `failures` and `slow`: requests that were so;
    - `untimed`: requests of which nobody can say whether they were slow, such as those before the
      server knew what is;
    - `failure_events`: failures that `AbortEvidence` may treat as independent, each by one server;
    - `differences`: compared answers that differ.

    The share is the canary's. Counts of shadow and baseline may be at any share: they are added up.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[float, str, str]] = Counter()

    def count(self, percent: float, arm: Arm, what: Counted, number: int = 1) -> None:
        """Add to a number."""
        self._counts[percent, arm, what] += number

    def of(self, percent: float, arm: Arm, what: Counted) -> int:
        """Return a number, 0 if nothing was counted."""
        return self._counts[percent, arm, what]

    def sum(self, arm: Arm, what: Counted) -> int:
        """Return a number for all shares."""
        return sum(self.of(percent, arm, what) for percent in self.percents)

    def rate(self, percent: float, arm: Arm, bad: Bad) -> Rate:
        """Return how many of an arm's requests at a share were bad."""
        requests = self.of(percent, arm, "requests")
        if bad == "slow":
            requests -= self.of(percent, arm, "untimed")
        return Rate(requests, self.of(percent, arm, bad))

    @property
    def percents(self) -> list[float]:
        """The shares at which something was counted, ascending."""
        return sorted({percent for percent, _, _ in self._counts})

    def __add__(self, other: Self) -> Self:
        total = type(self)()
        total._counts = self._counts + other._counts
        return total

    def as_json(self) -> str:
        """Return the counts as a tag's value: share, then arm, then what was counted."""
        nested: dict[str, dict[str, dict[str, int]]] = {}
        for (percent, arm, what), number in sorted(self._counts.items()):
            nested.setdefault(f"{percent:.12g}", {}).setdefault(arm, {})[what] = number
        return json.dumps(nested, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a tag's value.

        Raises:
            ValueError: The text is no value of `as_json`.
        """
        counts = cls()
        try:
            for percent, arms in json.loads(text).items():
                for arm, numbers in arms.items():
                    for what, number in numbers.items():
                        counts._counts[float(percent), arm, what] += int(number)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"these are no counts of a rollout: {text[:60]!r}") from error
        return counts
