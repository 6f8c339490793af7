"""The driver of a rollout: it looks at the counts again and again, and takes step after step.

All state is in the registry, so a driver may end at any moment, and another one goes on.
"""

import os
import shlex
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cloche.rollout.registry_keys import (
    ABORTED,
    ACTIVE,
    HOLDING,
    PASSED,
    PAUSED,
    PROMOTED,
    ROLLOUT_TAG,
    RUNNING,
)
from cloche.rollout.step import Step, following_step
from cloche.training.errors import LockHeld, RegistryError, RolloutAborted
from cloche.training.promotion.audit import promoter
from cloche.training.promotion.lock import Clock
from cloche.training.rollout.driver_lease import DriverLease
from cloche.training.rollout.ending import RolloutEnd, end_promoted, end_rollout
from cloche.training.rollout.evidence_run import EvidenceRun
from cloche.training.rollout.look import Look, take_look
from cloche.training.rollout.opening import open_rollout
from cloche.training.rollout.prometheus_api import PrometheusApi, PrometheusAway
from cloche.training.rollout.prometheus_counts import PrometheusCounts
from cloche.training.rollout.rollout_request import RolloutRequest
from cloche.training.rollout.rollout_state import RolloutState
from cloche.training.rollout.writes import RolloutWrites

_SYSTEM_CLOCK = Clock()
_PERMITTED = "the registry lets it"
# What MLflow says of a registry that may answer later.
_PASSING = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")


class Display(Protocol):
    """What shows people how a rollout goes."""

    def show(self, look: Look) -> None:
        """Show a look."""

    def say(self, sentence: str) -> None:
        """Show what happens, as a clause."""


def drive(
    client: MlflowClient,
    model: str,
    request: RolloutRequest,
    display: Display,
    *,
    clock: Clock = _SYSTEM_CLOCK,
) -> RolloutEnd:
    """Walk a version through its rollout to the end, or go on with that.

    Raises:
        RolloutAborted: The rollout was aborted: by evidence, by a server or by a person.
        RegistryError: The version may not be rolled out, another driver drives it, somebody
            changed what the rollout writes, or Prometheus does not answer at the beginning.
        RecipeError: The plan has mistakes.
    """
    counts = None
    if request.prometheus is not None:
        api = PrometheusApi(request.prometheus)
        api.query("vector(1)", clock.now().timestamp())  # before anything begins
        counts = PrometheusCounts(api)
        display.say(counts.about)
    lease, writes = open_rollout(client, model, request, clock, display.say)
    try:
        run = EvidenceRun(client, writes.read().run_id)
        driver = _Driver(run, display, lease, writes, clock, counts=counts)
        while (end := driver.try_look()) is None:
            clock.sleep(request.poll)
    finally:
        lease.release(writes)
    if end.outcome == ABORTED:
        raise RolloutAborted(
            f"the rollout of {model} version {end.version} was aborted: {end.reason}"
        )
    return end


class _Driver:
    """What one driver does at each look."""

    def __init__(
        self, run: EvidenceRun, display: Display, lease: DriverLease, writes: RolloutWrites,
        clock: Clock, *, counts: PrometheusCounts | None,
    ) -> None:  # fmt: skip
        self._run = run
        self._display = display
        self._lease = lease
        self._writes = writes
        self._clock = clock
        self._counts = counts
        self._away = False

    def try_look(self) -> RolloutEnd | None:
        """Look, and act on it; a registry that does not answer is asked again later."""
        try:
            end = self._look()
        except (LockHeld, MlflowException, PrometheusAway) as error:
            if isinstance(error, MlflowException) and error.error_code not in _PASSING:
                raise
            if not self._away:
                what = "Prometheus answers" if isinstance(error, PrometheusAway) else _PERMITTED
                self._display.say(f"it goes on when {what}: {error}")
            self._away = True
            return None
        self._away = False
        return end

    def _look(self) -> RolloutEnd | None:
        state = self._writes.read()
        self._lease.keep(state, self._writes)
        step = state.step
        if step is None:
            raise RegistryError(f"the rollout of {state.label} was ended by somebody else")
        now = self._clock.now()
        if self._counts is not None:
            state = self._counts.read(state, now)
        look = take_look(state, step, now)
        if state.model.production == state.version:
            known = state.reason if state.word == PROMOTED else ""
            return self._promote(look, known or f"{state.label} is in production")
        if state.word in (ABORTED, PROMOTED, PASSED):
            return self._end(look, state.word, state.reason)
        if state.word != PAUSED:
            if state.taken_step is not None:
                self._enter(look, state.taken_step)
                return None
            self._require_unchanged(state)
        self._display.show(look)
        end = self._act(look)
        if end is None:  # after an abort, which must not wait for what may be away
            self._run.record(look)
        return end

    def _act(self, look: Look) -> RolloutEnd | None:
        """Do what the verdict says."""
        state, verdict = look.state, look.verdict
        if verdict.decision == "abort" and not state.change_by_hand:
            return self._end(look, ABORTED, verdict.reasons[0])
        if state.word == PAUSED:
            return None
        if verdict.decision != "advance":
            self._hold(look)
            return None
        following = following_step(state.plan, look.step, look.at)
        if following is not None:
            self._enter(look, following)
            return None
        if look.step.shadow_only:
            return self._end(look, PASSED, verdict.reasons[0])
        shares = ", ".join(f"{percent:g}" for percent in state.plan.steps)
        return self._promote(look, f"passed the gate and a rollout at {shares} %")

    def _enter(self, look: Look, step: Step) -> None:
        """Let the next step begin, and only then tell of it."""
        state, step = look.state, replace(step, since=self._clock.now())
        self._writes.enter(step)
        self._writes.change_state(HOLDING, RUNNING, "took a step")
        title = step.title(state.plan)
        self._display.say(f"{state.label} goes on: {title}")
        self._run.add_event(look, f"begin of {title}")

    def _hold(self, look: Look) -> None:
        """Tell people if the step takes longer than the plan expects."""
        hours = look.state.plan.deadline_hours
        if look.state.word == RUNNING and look.seconds >= timedelta(hours=hours).total_seconds():
            reason = f"no step for {hours:g} hours; {look.reasons[0]}"
            self._writes.change_state(RUNNING, HOLDING, reason)
            self._display.say(f"{look.state.label} holds: {reason}")
            self._run.add_event(look, HOLDING)

    def _end(self, look: Look, outcome: str, reason: str) -> RolloutEnd:
        return end_rollout(self._writes, self._run, look, outcome, reason=reason, clock=self._clock)

    def _promote(self, look: Look, reason: str) -> RolloutEnd:
        by = promoter(os.environ)
        return end_promoted(self._writes, self._run, look, by=by, reason=reason, clock=self._clock)

    def _require_unchanged(self, state: RolloutState) -> None:
        """Check that nobody else steers the version.

        Raises:
            RegistryError: Somebody does. The rollout pauses until that person resumes or aborts it.
        """
        change = state.change_by_hand
        if state.word not in ACTIVE:
            change = f"the tag {ROLLOUT_TAG} is {state.tags.get(ROLLOUT_TAG) or 'gone'}"
        if not change:
            return
        if state.word in ACTIVE:
            self._writes.change_state(state.word, PAUSED, f"{change}, changed by hand")
        command, number = f"cloche rollout {{}} {shlex.quote(state.model.name)}", state.version
        raise RegistryError(
            f"{change}: somebody steers {state.label} by hand, so its rollout pauses. "
            f"`{command.format('resume')} --version {number}` restores the step and goes on, "
            f"`{command.format('abort')} --version {number}` ends the rollout"
        )
