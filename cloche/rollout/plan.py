"""The plan of a rollout: its steps, and what each must show; written in recipe, policy and tag."""

import json
import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any

from cloche.rollout.registry_keys import PLAN_TAG

_BOUNDS = {
    "above": operator.gt, "at_least": operator.ge, "below": operator.lt, "at_most": operator.le,
}  # fmt: skip


Problems = list[tuple[tuple[str, ...], str]]


class PlanError(ValueError):
    """A plan has mistakes.

    Attributes:
        problems: For each mistake the path of its key, and a message.
    """

    def __init__(self, problems: Problems) -> None:
        told = (f"{'.'.join(path) or 'the plan'}: {message}" for path, message in problems)
        super().__init__("\n".join(told))
        self.problems = problems


def _number(default: float, *, whole: bool = False, **bounds: float) -> Any:
    return field(default=default, metadata={"whole": whole, "bounds": bounds})


@dataclass(frozen=True, slots=True)
class Shadow:
    """What the shadow must show before the first step.

    Attributes:
        percent: Share of the requests whose copy the shadow gets.
        requests: Number of answers that are compared at least.
        disagreement: Tolerated share of answers that differ, beyond those in which production
            differs from itself.
        tolerance: Relative difference up to which two numbers are equal.
    """

    percent: float = _number(10.0, above=0, at_most=50)
    requests: int = _number(2000, whole=True, at_least=1)
    disagreement: float = _number(0.05, above=0, below=1)
    tolerance: float = _number(1e-6, at_least=0)


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The minimum of each step, whatever the evidence says.

    Attributes:
        minutes: Minutes of the step.
        requests: Number of requests of the canary in the step.
    """

    minutes: float = _number(10.0, at_least=0)
    requests: int = _number(500, whole=True, at_least=1)


@dataclass(frozen=True, slots=True)
class Failures:
    """How much more often than production the canary may fail.

    Attributes:
        ratio: Tolerated ratio of failure rates. Evidence of a greater one aborts the rollout, once
            the canary has failed at least three times, and more often than ratio and margin allow.
        margin: Tolerated difference of failure rates beyond the ratio, in all requests. A step is
            taken on evidence that the canary is within ratio and margin. Both are widened by
            100 / next share in percent, because the canary's failures are only that share of all:
            before a share of 5 %, 20 times.
    """

    ratio: float = _number(1.0, at_least=1)
    margin: float = _number(0.001, at_least=0, below=1)


@dataclass(frozen=True, slots=True)
class Slow:
    """How much more often than production the canary may answer slowly.

    Attributes:
        quantile: Quantile of production's latency when the rollout began; what takes longer is
            slow.
        ratio: Tolerated ratio of the rates of slow answers.
    """

    quantile: float = _number(0.99, at_least=0.5, below=1)
    ratio: float = _number(1.5, above=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a rollout, from the first request of a version to its promotion.

    Attributes:
        shadow: What the shadow must show first; None for no shadow.
        steps: Shares of the canary in percent, ascending.
        at_least: What each step takes at least.
        deadline_hours: Hours without a step, after which people are told.
        failures: Limits for failures.
        slow: Limits for slow answers; None to judge no latency.
        confidence: Chance that a version within the tolerances is not aborted in the whole rollout,
            however often it is judged. Each proof for a step or a shadow holds with this chance,
            too. A lower one aborts sooner, and lets worse versions advance.
    """

    shadow: Shadow | None = None
    steps: tuple[float, ...] = (1.0, 5.0, 25.0, 50.0)
    at_least: AtLeast = AtLeast()
    deadline_hours: float = _number(24.0, above=0)
    failures: Failures = Failures()
    slow: Slow | None = Slow()
    confidence: float = _number(0.99, at_least=0.5, below=1)

    @property
    def alpha(self) -> float:
        """The chance of a false abort, and of each false proof for a step, that the plan allows."""
        return 1 - self.confidence

    def as_json(self) -> str:
        """Return the plan as the value of `PLAN_TAG`."""
        return json.dumps(asdict(self))


_SECTIONS = {"shadow": Shadow, "at_least": AtLeast, "failures": Failures, "slow": Slow}
_OPTIONAL = ("shadow", "slow")  # null switches them off


def parse_plan(text: str) -> Plan:
    """Read the value of `PLAN_TAG`.

    Raises:
        PlanError: The text is not JSON, or the plan has mistakes.
    """
    try:
        return read_plan(json.loads(text))
    except json.JSONDecodeError as error:
        raise PlanError([((), f"the tag {PLAN_TAG} is not JSON: {error}")]) from None


def read_plan(values: Any) -> Plan:
    """Return the plan that keys and values say, with defaults for absent keys.

    Raises:
        PlanError: The values have mistakes; the error lists all of them.
    """
    problems: Problems = []
    plan: Plan = _section(Plan, values, (), problems)
    if not problems and plan.failures.ratio == 1 and plan.failures.margin == 0:
        problems.append((("failures",), "no evidence proves equality; give a margin, like 0.001"))
    if problems:
        raise PlanError(problems)
    return plan


def _section(kind: type[Any], values: Any, path: tuple[str, ...], problems: Problems) -> Any:
    """Return a section with those of its values that are valid, and append what is wrong."""
    known = {one.name: one for one in fields(kind)}
    if not isinstance(values, Mapping):
        problems.append((path, f"expected keys and values, found {values!r}"))
        return kind()
    valid: dict[str, Any] = {}
    for key, value in values.items():
        here, problem = (*path, str(key)), None
        if key not in known:
            problem = f"unknown key; the keys are {', '.join(known)}"
        elif key in _OPTIONAL and value is None:
            valid[key] = None
        elif key in _SECTIONS:
            valid[key] = _section(_SECTIONS[key], value, here, problems)
        elif key == "steps":
            problem = _problem_of_steps(value)
            valid[key] = () if problem else tuple(map(float, value))
        else:
            problem = _problem(value, **known[key].metadata)
            number = int if known[key].metadata["whole"] else float
            valid[key] = known[key].default if problem else number(value)
        if problem:
            problems.append((here, problem))
    return kind(**valid)


def _problem_of_steps(values: Any) -> str | None:
    if not isinstance(values, list | tuple) or not values:
        return f"expected a list of percents, like [1, 5, 25], found {values!r}"
    if 100 in values:
        return "100 percent is the promotion at the end; remove it"
    for one in values:
        if problem := _problem(one, {"above": 0, "below": 100}, whole=False):
            return problem
    ascend = all(one < other for one, other in pairwise(values))
    return None if ascend else f"must ascend, found {list(values)}"


def _problem(value: Any, bounds: Mapping[str, float], *, whole: bool) -> str | None:
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or abs(value) == math.inf:  # which JSON lacks
        return f"expected a {'whole ' if whole else ''}number, found {value!r}"
    for name, limit in bounds.items():
        if not _BOUNDS[name](value, limit):
            return f"must be {name.replace('_', ' ')} {limit:g}, found {value!r}"
    return None
