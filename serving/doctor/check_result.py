"""The result of one check: a state, a message, and the fix."""

import enum
from dataclasses import dataclass

from cloche.values.passwords import without_password


class State(enum.StrEnum):
    """The severity of a result."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check, printed as one line.

    Attributes:
        fix: The fix, as a command if there is one; empty if none is needed, or if `says` ends with
            the fix.
    """

    check: str
    state: State
    says: str
    fix: str = ""


def ok(check: str, says: str) -> CheckResult:
    """Make the result of a check that found no problem."""
    return CheckResult(check, State.OK, without_password(says))


def warn(check: str, says: str, fix: str = "") -> CheckResult:
    """Make the result of a check whose subject works, but can cause problems."""
    return CheckResult(check, State.WARN, without_password(says), without_password(fix))


def fail(check: str, says: str, fix: str = "") -> CheckResult:
    """Make the result of a check whose subject does not work."""
    return CheckResult(check, State.FAIL, without_password(says), without_password(fix))
