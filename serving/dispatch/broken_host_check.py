"""Decides when to check a model host that answers with errors: after several failures. Pure.

A failed request is usually the client's mistake. A host that is broken inside (a library was
patched, modules are gone, a device is lost) fails every request. A check sends the version's input
example, which must succeed: only a broken host fails it. Checks are rare, because they take time.
"""

from dataclasses import dataclass

_MIN_FAILURES = 5  # failures before a check
_MIN_PAUSE_SECONDS = 10.0
_PAUSE_FACTOR = (
    100  # the pause in durations of a check: checks take at most a hundredth of a host's time
)


@dataclass(frozen=True, slots=True)
class BrokenHostCheck:
    """The failures of one model host, and the time of its next check.

    Attributes:
        failures: The number of requests that the host failed since its last check.
        trusted_until: The earliest time of the next check, on the caller's clock.
    """

    failures: int = 0
    trusted_until: float = float("-inf")

    def after(self, failures: int) -> "BrokenHostCheck":
        """The state after so many more failures."""
        return BrokenHostCheck(self.failures + failures, self.trusted_until)

    def is_due(self, now: float) -> bool:
        """Whether the host should be checked now."""
        return self.failures >= _MIN_FAILURES and now >= self.trusted_until

    @staticmethod
    def settled(now: float, seconds: float) -> "BrokenHostCheck":
        """The state after a check that took `seconds` and found no fault."""
        return BrokenHostCheck(trusted_until=now + max(_MIN_PAUSE_SECONDS, _PAUSE_FACTOR * seconds))
