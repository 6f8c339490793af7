"""What one look found: a state, a sentence, and the command that mends it."""

import enum
from dataclasses import dataclass

from cloche.values.passwords import without_password


class State(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the examination.

    Attributes:
        check: What was looked at.
        state: Whether that works.
        says: What was found.
        fix: What to do, as a command where there is one; empty where nothing is to be done, or
            where `says` ends with it.
    """

    check: str
    state: State
    says: str
    fix: str = ""


def ok(check: str, says: str) -> CheckResult:
    """It works."""
    return CheckResult(check, State.OK, without_password(says))


def warn(check: str, says: str, fix: str = "") -> CheckResult:
    """It works, and will make trouble."""
    return CheckResult(check, State.WARN, without_password(says), without_password(fix))


def fail(check: str, says: str, fix: str = "") -> CheckResult:
    """It does not work."""
    return CheckResult(check, State.FAIL, without_password(says), without_password(fix))
