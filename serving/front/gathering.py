"""How long a replica waits for the clients of the batch it just answered to ask again. Pure.

Clients that ask without a pause come back within a moment. If the replica turned at once to those
that waited meanwhile, the clients would split into two groups that take turns, and each would wait
for two batches instead of one. A wait of at most a tenth of a batch's time, and none when nobody
waits, joins more of them.
"""

from dataclasses import dataclass

_SHARE = 0.1
_MOST_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Gathering:
    """A wait for company that ends when all are back, or at a time.

    Attributes:
        until: When it ends at the latest, on the caller's clock.
        requests: How many waiting requests end it.
    """

    until: float
    requests: int

    def over(self, now: float, waiting: int) -> bool:
        """Whether the next batch may be formed."""
        return now >= self.until or waiting >= self.requests


def after_batch(now: float, seconds: float, answered: int, waiting: int) -> Gathering | None:
    """The wait after a batch of `answered` requests that took `seconds`; None when nobody waits."""
    if not waiting:
        return None
    return Gathering(now + min(_SHARE * seconds, _MOST_SECONDS), answered + waiting)
