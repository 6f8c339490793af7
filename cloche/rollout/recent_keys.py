"""Which callers have been counted in this window of time, in bounded memory."""

import math


class RecentKeys:
    """A filter that lets each caller count once in a window of time.

    A caller keeps its arm, so one whose requests fail for reasons of their own would otherwise
    count against that arm with every request. When the filter is full, it forgets all keys and a
    new window begins, so a caller counts again only after as many others.

    Args:
        seconds: Length of a window; infinity for one that ends when the filter is full.
        most_keys: Number of keys that are kept.
    """

    def __init__(self, seconds: float = math.inf, most_keys: int = 10_000) -> None:
        self._seconds = seconds
        self._most_keys = most_keys
        self._keys: set[int] = set()
        self._end = -math.inf

    def is_first(self, key: bytes, now: float) -> bool:
        """Return whether to count a key, and remember that it has been counted.

        Args:
            key: Routing key of the request.
            now: Time in seconds on a clock that never goes back.
        """
        hashed = hash(key)
        if now < self._end and hashed in self._keys:
            return False
        if now >= self._end or len(self._keys) >= self._most_keys:
            self._keys.clear()
            self._end = now + self._seconds
        self._keys.add(hashed)
        return True
