"""PROVISIONAL evidence that a canary fails more often than production."""

import math

_RATIOS = (2.0, 5.0, 20.0, 100.0)
_ALPHA = 0.01
_MOST = 10_000


class FailureEvidence:
    """The failures of both arms so far."""

    def __init__(self) -> None:
        self._logs = [0.0] * len(_RATIOS)
        self._counted: dict[tuple[bytes, int], None] = {}
        self._failures = [0, 0]

    def failed(self, key: bytes, now: float, *, canary: bool, share: float) -> str:
        """Add a failure; return why the canary is to be aborted, if it is."""
        event = key, int(now // 60)
        if event in self._counted or not 0 < share < 1:
            return ""
        if len(self._counted) >= _MOST:
            self._counted.clear()
        self._counted[event] = None
        self._failures[canary] += 1
        for place, ratio in enumerate(_RATIOS):
            theta = ratio * share / (ratio * share + 1 - share)
            self._logs[place] += math.log(theta / share if canary else (1 - theta) / (1 - share))
        evidence = sum(map(math.exp, self._logs)) / len(_RATIOS)
        if evidence < 1 / _ALPHA:
            return ""
        return f"{self._failures[1]} failures of the canary and {self._failures[0]} of production"
