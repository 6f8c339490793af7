"""All errors that training raises for its users, under one base class.

ClocheError
├── RecipeError      the recipe or an override is wrong; nothing was started
├── DataError        the table cannot be read, or should not be learned from
├── TrainingError    the estimator, the search or the packaging failed
├── TrainingPostponed  too few new labels, or too soon after the last training; nothing was done
├── TwinRefused      the model gets no accelerated twin; the message is the whole reason
├── RegistryError    the registry lacks what was requested, or changed meanwhile
│   └── LockHeld     somebody else moves the aliases at this moment
├── NotMeasured      the gate's own process failed, so that there is no verdict
├── GateRefusal      the gate judged a version and refused it
└── RolloutAborted   live requests, or a person, ended the rollout of a version

A message says what was found and what to do about it. Exit codes are assigned in `cloche.main`, not
here.
"""

from collections.abc import Sequence


class ClocheError(Exception):
    """Base class of errors of which a command shows the message and no traceback."""


class RecipeError(ClocheError):
    """A recipe, policy or override is wrong; `problems` contains every mistake found."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        count = "1 mistake" if len(self.problems) == 1 else f"{len(self.problems)} mistakes"
        super().__init__(f"{source}: {count}\n{lines}")


class DataError(ClocheError):
    """The table cannot be read, or learning from it would mislead; `problems` has the reasons."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{source}: cannot be used for training\n{lines}")


class TrainingError(ClocheError):
    """The estimator, the search or the packaging of the model failed."""


class TrainingPostponed(ClocheError):
    """A scheduled training is not worth it yet; nothing was written."""


class TwinRefused(ClocheError):
    """The model gets no accelerated twin; the message is the reason, as a clause of a sentence."""


class RegistryError(ClocheError):
    """The registry lacks what was requested, or another user changed it meanwhile."""


class LockHeld(RegistryError):
    """Somebody else moves the aliases of the model at this moment."""


class NotMeasured(ClocheError):
    """The gate's own process failed, not the version that it measured, so there is no verdict."""


class GateRefusal(ClocheError):
    """The gate judged a version and refused it."""


class RolloutAborted(ClocheError):
    """The rollout of a version was aborted; the message is the reason."""
