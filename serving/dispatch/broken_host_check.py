"""When a host that answers is asked whether it still can: after failures, and seldom. Pure.

A request that fails is usually the client's mistake. A host that is broken inside (a library was
patched, modules are gone, a device is lost) says the same of every request; only a question whose
answer is known tells one from the other.
"""

from dataclasses import dataclass

_ENOUGH = 5  # failures
_PAUSE_SECONDS = 10.0
_TIMES = 100  # as long as a check took: checks take at most a hundredth of a host's time


@dataclass(frozen=True, slots=True)
class BrokenHostCheck:
    """What is known against one host.

    Attributes:
        failures: Requests that it answered with an error since it was checked last.
        trusted_until: When it may be checked again, on the caller's clock.
    """

    failures: int = 0
    trusted_until: float = float("-inf")

    def after(self, failures: int) -> "BrokenHostCheck":
        """The doubt after so many more failures."""
        return BrokenHostCheck(self.failures + failures, self.trusted_until)

    def is_due(self, now: float) -> bool:
        """Whether the host is to be checked."""
        return self.failures >= _ENOUGH and now >= self.trusted_until

    @staticmethod
    def settled(now: float, seconds: float) -> "BrokenHostCheck":
        """The doubt after a check that took `seconds` and found nothing."""
        return BrokenHostCheck(trusted_until=now + max(_PAUSE_SECONDS, _TIMES * seconds))
