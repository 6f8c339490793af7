"""What a rollout writes to the registry, and the order of the writes.

The alias is what gives a version requests, so it is written after the tags that limit them, and
taken away before them. The tag of the step is the last write of a step: whoever dies before it
repeats the writes. It is removed after everything else at the end, so that a rollout whose end was
interrupted can be told from one whose end is complete.
"""

from mlflow import MlflowClient

from cloche.registry.lease import Lease
from cloche.rollout.plan import Plan
from cloche.rollout.registry_keys import (
    ABORTED,
    CANARY_PERCENT_TAG,
    COUNTS_TAG,
    DRIVER_TAG,
    PLAN_TAG,
    ROLLOUT_TAG,
    RUN_TAG,
    RUNNING,
    SHADOW_PERCENT_TAG,
    STEP_TAG,
)
from cloche.rollout.step import Step
from cloche.training.errors import RegistryError
from cloche.training.promotion.alias_moves import follow_up, move_production
from cloche.training.promotion.audit import audit_tags
from cloche.training.promotion.lock import Clock, promotion_lock
from cloche.training.rollout.rollout_state import RolloutState, read_state


class RolloutWrites:
    """The writes to one version and its aliases."""

    def __init__(self, client: MlflowClient, model: str, version: str) -> None:
        self._client = client
        self._model = model
        self._version = version

    def read(self) -> RolloutState:
        """Read the state from the registry."""
        return read_state(self._client, self._model, self._version)

    def begin(self, state: RolloutState, plan: Plan, run_id: str, by: str) -> None:
        """Let a rollout begin, which has no step yet."""
        self._tag(RUN_TAG, run_id)
        self._tag(PLAN_TAG, plan.as_json())
        self._remove(*_counts_tags(state), STEP_TAG)
        self.set_state(RUNNING, f"started by {by}")

    def enter(self, step: Step) -> None:
        """Let a step begin; repeated writes change nothing."""
        self._tag(step.percent_tag, f"{step.percent:g}")
        self._client.set_registered_model_alias(self._model, step.alias, self._version)
        self._tag(STEP_TAG, step.as_json())
        if not step.shadow:
            self._take_away("shadow", SHADOW_PERCENT_TAG)

    def set_state(self, word: str, reason: str) -> None:
        """Tag the version with the state of its rollout."""
        self._tag(ROLLOUT_TAG, f"{word}: {reason}")

    def change_state(self, former: str, word: str, reason: str) -> None:
        """Tag the version with another state, unless somebody else has done so."""
        if self.read().word == former:
            self.set_state(word, reason)

    def set_lease(self, lease: Lease) -> None:
        """Tag the version with the lease of whoever drives."""
        self._tag(DRIVER_TAG, lease.to_text())

    def remove_lease(self) -> None:
        """Remove the lease."""
        self._remove(DRIVER_TAG)

    def abort(self, reason: str) -> None:
        """Take all live requests from the version."""
        self.set_state(ABORTED, reason)
        self.take_arms_away()

    def take_arms_away(self) -> None:
        """Take the aliases of both arms from the version, and their shares."""
        self._take_away("canary", CANARY_PERCENT_TAG)
        self._take_away("shadow", SHADOW_PERCENT_TAG)

    def forget_step(self) -> None:
        """Remove what only a running rollout needs, the step last."""
        self._remove(*_counts_tags(self.read()))
        self._remove(STEP_TAG)

    def promote(self, step: Step, by: str, reason: str, clock: Clock) -> str | None:
        """Put the version into production, or complete that if it is there already.

        Returns:
            Why MLflow's stage could not be set; None if it was.

        Raises:
            RegistryError: Production moved to another version, or a promotion holds the lock.
        """
        with promotion_lock(self._client, self._model, by, clock) as held:
            if held.model.production == self._version:
                problem = follow_up(self._client, held.model, self._version)
            elif held.model.production == step.production:
                tags = audit_tags(at=clock.now(), by=by, reason=reason)
                problem = move_production(self._client, held, self._version, tags)
            else:
                raise RegistryError(
                    f"{self._model}@production moved from version {step.production} to "
                    f"{held.model.production or 'nothing'} at the end of the rollout"
                )
        return problem

    def _take_away(self, alias: str, percent_tag: str) -> None:
        state = self.read()
        if alias in state.arms:
            self._client.delete_registered_model_alias(self._model, alias)
        if percent_tag in state.tags:
            self._remove(percent_tag)

    def _tag(self, key: str, value: str) -> None:
        self._client.set_model_version_tag(self._model, self._version, key, value)

    def _remove(self, *keys: str) -> None:
        for key in keys:
            self._client.delete_model_version_tag(self._model, self._version, key)


def _counts_tags(state: RolloutState) -> list[str]:
    return [key for key in state.tags if key.startswith(COUNTS_TAG)]
