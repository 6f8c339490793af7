"""The beginning of a rollout, or what a driver takes over of one that goes on."""

import os
import shlex

from mlflow import MlflowClient

from cloche.registry.lease import Lease
from cloche.rollout.plan import Plan
from cloche.rollout.registry_keys import ABORTED
from cloche.rollout.step import first_step
from cloche.training.errors import LockHeld, RegistryError, RolloutAborted
from cloche.training.names import ACCEPTED, CHALLENGER, DIGEST, GATE, PRODUCTION
from cloche.training.promotion.audit import promoter
from cloche.training.promotion.lock import Clock, promotion_lock
from cloche.training.promotion.registry import find_model, find_version
from cloche.training.rollout.driver_lease import DriverLease
from cloche.training.rollout.evidence_run import start_run
from cloche.training.rollout.plan_source import choose_plan
from cloche.training.rollout.rollout_request import RolloutRequest
from cloche.training.rollout.rollout_state import ARMS, RolloutState, read_state
from cloche.training.rollout.writes import RolloutWrites
from cloche.values.progress import Say

_LOCK_SECONDS = 90.0  # for a lock to lapse, whose holder died
_PAUSE_SECONDS = 5.0


def chosen_version(client: MlflowClient, model: str, request: RolloutRequest) -> str:
    """Return the number of the version that the request names, that is rolled out, or challenges.

    Raises:
        RegistryError: There is none.
    """
    found = find_model(client, model)
    if request.version is not None:
        return request.version
    # A rollout whose end was cut short may have moved all aliases but production's.
    aliased = [found.aliases[alias] for alias in (*ARMS, PRODUCTION) if alias in found.aliases]
    for number in dict.fromkeys(aliased):
        if _goes_on(read_state(client, model, number)):
            return number
    if found.challenger is None:
        raise RegistryError(
            f"{model} has no {CHALLENGER}, so nothing asks for a rollout; train one, or name a "
            "version: --version N"
        )
    return found.challenger


def going_version(client: MlflowClient, model: str, version: str | None) -> str | None:
    """Return the version that would be rolled out, if that goes on or was aborted; else None."""
    try:
        number = chosen_version(client, model, RolloutRequest(version=version))
    except RegistryError:  # the gate says what is missing
        return None
    state = read_state(client, model, number)
    return number if state.word == ABORTED or _goes_on(state) else None


def open_rollout(
    client: MlflowClient, model: str, request: RolloutRequest, clock: Clock, say: Say
) -> tuple[DriverLease, RolloutWrites]:
    """Become the driver of a rollout, and let it begin unless it has.

    Raises:
        RolloutAborted: The last rollout of the version was aborted, and no retry is asked for.
        RegistryError: The version may not be rolled out, or another process drives it.
        RecipeError: The plan has mistakes.
    """
    number = chosen_version(client, model, request)
    by = promoter(os.environ)
    lease, writes = DriverLease(by, clock), RolloutWrites(client, model, number)
    plan = _plan(writes.read(), request)
    deadline = clock.elapsed() + _LOCK_SECONDS
    while True:
        try:
            with promotion_lock(client, model, by, clock):
                other = _open(client, writes, request, plan=plan, lease=lease, clock=clock, by=by)
        except LockHeld as error:
            if clock.elapsed() > deadline:
                raise
            say(f"waiting: {error}")
            clock.sleep(_PAUSE_SECONDS)
            continue
        if other is None:
            return lease, writes
        say(f"waiting for the driver that {other.holder} started, until {other.until:%H:%M:%S} UTC")
        lease.wait_for(other, writes)


def _open(
    client: MlflowClient, writes: RolloutWrites, request: RolloutRequest, *,
    plan: Plan, lease: DriverLease, clock: Clock, by: str,
) -> Lease | None:  # fmt: skip
    """Take the lease, and let the rollout begin unless it has; or return who has the lease."""
    state = writes.read()
    other = lease.blocked_by(state)
    if other is not None:
        return other
    goes_on = _goes_on(state)
    if not goes_on:
        _check_may_begin(state, request)
    lease.take(writes)
    if not goes_on:
        training_run = find_version(client, state.model.name, state.version).run_id
        run_id = start_run(client, state, plan, training_run_id=training_run)
        writes.begin(state, plan, run_id, by)
    state = writes.read()
    if state.active and state.step is None:
        _check_arms(state)
        production, shadow_only = str(state.model.production), request.shadow_only
        step = first_step(state.plan, production, clock.now(), shadow_only=shadow_only)
        writes.enter(step)
    return None


def _goes_on(state: RolloutState) -> bool:
    """Whether the rollout has begun, and something of it is still to be done."""
    return state.active or state.step is not None


def _plan(state: RolloutState, request: RolloutRequest) -> Plan:
    """Return the plan of a rollout that begins, and check that of one that goes on.

    Raises:
        RegistryError: The rollout goes on by another plan than the one that is asked for.
        RecipeError: The plan has mistakes.
    """
    running = state.plan if _goes_on(state) else None
    if running is not None and request.plan is None and request.steps is None:
        return running
    plan = choose_plan(
        state.model.name, state.version, file=request.plan, steps=request.steps,
        shadow_only=request.shadow_only,
    )  # fmt: skip
    if running not in (None, plan):
        model = shlex.quote(state.model.name)
        raise RegistryError(
            f"the rollout of {state.label} goes on by another plan; leave out --plan and --steps, "
            f"or end it first: `cloche rollout abort {model}`"
        )
    return plan


def _check_may_begin(state: RolloutState, request: RolloutRequest) -> None:
    """Check that a rollout may begin.

    Raises:
        RolloutAborted: The last one was aborted, and no retry is asked for.
        RegistryError: It may not begin for another reason.
    """
    name, number = shlex.quote(state.model.name), state.version
    if state.model.production == number:
        raise RegistryError(f"{state.label} is in production already")
    if state.model.production is None:
        raise RegistryError(
            f"{state.model.name} has nothing in production, so there is nothing to compare "
            f"{state.label} with; put the first version there: `cloche promote {name}`"
        )
    if state.word == ABORTED and not request.retry:
        raise RolloutAborted(
            f"the rollout of {state.label} was aborted: {state.reason}. To begin a new one: "
            f"`cloche rollout {name} --version {number} --retry`"
        )
    if state.tags.get(GATE) not in ACCEPTED or DIGEST not in state.tags:
        raise RegistryError(
            f"{state.label} has not passed the gate; "
            f"`cloche promote {name} --version {number} --gradually` asks the gate, and begins the "
            "rollout if it passes"
        )
    _check_arms(state)


def _check_arms(state: RolloutState) -> None:
    """Check that no other version is the canary or the shadow.

    Raises:
        RegistryError: One is.
    """
    name, number = shlex.quote(state.model.name), state.version
    for arm in ARMS:
        other = state.model.aliases.get(arm, number)
        if other != number:
            raise RegistryError(
                f"version {other} of {state.model.name} is the {arm}; end that first: "
                f"`cloche rollout abort {name} --version {other}`"
            )
