"""Which keys have been counted in this window of time, in bounded memory."""

import math


class RecentKeys:
    """A filter that lets each key count once in a window, because a caller's burst is one event.

    Windows follow each other without a gap. When a window has as many keys as the filter keeps, no
    further key counts until the next one, in either arm, so that no arm looks worse for it.

    Args:
        seconds: Length of a window; infinity for one window without end.
        most_keys: Number of keys that are kept.
    """

    def __init__(self, seconds: float = 60.0, most_keys: int = 10_000) -> None:
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
        if now >= self._end:
            self._keys.clear()
            self._end = now + self._seconds
        if (short := hash(key)) in self._keys or len(self._keys) >= self._most_keys:
            return False
        self._keys.add(short)
        return True
