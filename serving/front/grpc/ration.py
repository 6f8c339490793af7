"""How much of what costs a server work and a client nothing is borne with. Pure."""

_MOST = 1000.0
_PER_SECOND = 100.0
_PER_ANSWER = 10.0


class Ration:
    """What a connection may still bother with: pings, settings, empty frames, streams taken back.

    It grows with time, and with each request that is answered: clients ping while they are served.
    """

    __slots__ = ("_left", "_since")

    def __init__(self, now: float) -> None:
        self._left = _MOST
        self._since = now

    def spend(self, now: float) -> bool:
        """Bear with one more; False if that is too much."""
        self._left = min(_MOST, self._left + (now - self._since) * _PER_SECOND) - 1
        self._since = now
        return self._left >= 0

    def earn(self) -> None:
        """Note that a request was answered."""
        self._left = min(_MOST, self._left + _PER_ANSWER)
