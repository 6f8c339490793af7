"""What people do to a rollout beside its driver: look, pause, resume, abort, promote."""

import os
import shlex

from mlflow import MlflowClient

from cloche.rollout.registry_keys import ABORTED, ACTIVE, HOLDING, PAUSED, PROMOTED, RUNNING
from cloche.training.errors import RegistryError
from cloche.training.promotion.audit import promoter
from cloche.training.promotion.lock import Clock
from cloche.training.rollout.driver_lease import DriverLease
from cloche.training.rollout.ending import end_promoted, end_rollout
from cloche.training.rollout.evidence_run import EvidenceRun
from cloche.training.rollout.look import Look, take_look
from cloche.training.rollout.rollout_state import RolloutState, rolling_version
from cloche.training.rollout.writes import RolloutWrites

_SYSTEM_CLOCK = Clock()


class RolloutCommands:
    """What a person may do to the rollout of a version.

    Attributes:
        client: The client.
        state: State of the rollout before the command.

    Args:
        client: MLflow client for the tracking store and the registry.
        model: Name of the registered model.
        version: Number of the version; by default that of the canary or the shadow.
        clock: The clock.

    Raises:
        RegistryError: There is no canary and no shadow, and no version is named.
    """

    def __init__(
        self, client: MlflowClient, model: str, version: str | None, clock: Clock = _SYSTEM_CLOCK
    ) -> None:
        number = version or rolling_version(client, model)
        if number is None:
            raise RegistryError(
                f"{model} has no rollout: no version is its canary or shadow. To begin one: "
                f"`cloche rollout {shlex.quote(model)}`; of a version without alias: --version N"
            )
        self.client = client
        self._clock = clock
        self._writes = RolloutWrites(client, model, number)
        self._by = promoter(os.environ)
        self.state = self._writes.read()

    def look(self) -> Look | None:
        """Return a look at the rollout; None if no step is running."""
        step = self.state.step
        return None if step is None else take_look(self.state, step, self._clock.now())

    @property
    def is_driven(self) -> bool:
        """Whether a driver is alive."""
        return DriverLease(self._by, self._clock).blocked_by(self.state) is not None

    def pause(self, reason: str | None) -> None:
        """Keep the share as it is until somebody resumes the rollout.

        Raises:
            RegistryError: No rollout is running.
        """
        self._require(RUNNING, HOLDING)
        self._writes.set_state(PAUSED, self._said(reason))

    def resume(self) -> None:
        """Restore the step, and let the rollout go on.

        Raises:
            RegistryError: No rollout is paused, or production or the alias is another version.
        """
        state = self.state
        if not (state.word == "" and state.step is not None):  # somebody removed the tag
            self._require(PAUSED)
        if (step := state.step) is not None:
            other = state.model.aliases.get(step.alias, state.version)
            if state.model.production != step.production or other != state.version:
                raise RegistryError(
                    f"the rollout of {state.label} cannot go on: {state.change_by_hand}; end it: "
                    f"`{self._command('abort')}`"
                )
            self._writes.enter(step)
        self._writes.set_state(RUNNING, f"resumed by {self._by}")

    def abort(self, reason: str | None) -> None:
        """Take all live requests from the version at once.

        Raises:
            RegistryError: It gets none, or it is in production.
        """
        state = self.state
        if state.model.production == state.version:
            raise RegistryError(
                f"{state.label} is in production; `cloche rollback "
                f"{shlex.quote(state.model.name)}` brings back what served before"
            )
        if not (state.active or state.arms or state.step):
            raise RegistryError(f"{state.label} has no rollout, and is no canary or shadow")
        said = self._said(reason)
        self._writes.abort(said)
        look = self.look()
        if look is not None and not self.is_driven:
            end_rollout(self._writes, self._run(), look, ABORTED, reason=said, clock=self._clock)

    def promote(self, reason: str | None) -> str | None:
        """Put the version into production, whatever steps are left.

        Returns:
            Why MLflow's stage could not be set; None if it was.

        Raises:
            RegistryError: No rollout of canary shares is running, production moved, or a promotion
                holds the lock.
        """
        self._require(*ACTIVE)
        look = self.look()
        if look is None or look.step.shadow_only:
            raise RegistryError(
                f"no step of {self.state.label} is running that leads to production; "
                f"`cloche promote {shlex.quote(self.state.model.name)} "
                f"--version {self.state.version}` promotes it"
            )
        said = f"{self._said(reason)}, at {look.step.title(self.state.plan)}"
        if self.is_driven:  # the driver writes the rest
            problem = self._writes.promote(look.step, self._by, said, self._clock)
            self._writes.set_state(PROMOTED, said)
            return problem
        run = self._run()
        end = end_promoted(self._writes, run, look, by=self._by, reason=said, clock=self._clock)
        return end.mirror_problem

    def _require(self, *words: str) -> None:
        state = self.state
        if state.word in words:
            return
        found = f"is {state.word}: {state.reason}" if state.word else "has not begun"
        raise RegistryError(f"the rollout of {state.label} {found}; it is not {words[0]}")

    def _said(self, reason: str | None) -> str:
        return f"by {self._by}" + (f", {reason}" if reason else "")

    def _run(self) -> EvidenceRun:
        return EvidenceRun(self.client, self.state.run_id)

    def _command(self, name: str) -> str:
        state: RolloutState = self.state
        return f"cloche rollout {name} {shlex.quote(state.model.name)} --version {state.version}"
