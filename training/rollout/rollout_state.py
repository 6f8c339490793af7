"""The state of a version's rollout, read from the registry with two calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from mlflow import MlflowClient

from cloche.registry.lease import Lease
from cloche.rollout.counts import RolloutCounts
from cloche.rollout.plan import Plan, PlanError, parse_plan
from cloche.rollout.registry_keys import (
    ACTIVE,
    CANARY,
    COUNTS_TAG,
    DRIVER_TAG,
    PLAN_TAG,
    ROLLOUT_TAG,
    RUN_TAG,
    SHADOW,
    STEP_TAG,
)
from cloche.rollout.server_counts import ServerCounts
from cloche.rollout.step import Step, following_step
from cloche.training.errors import RegistryError
from cloche.training.promotion.registry import RegisteredModel, find_model, find_version

ARMS = (CANARY, SHADOW)


@dataclass(frozen=True)
class RolloutState:
    """What the registry says of a version's rollout.

    Attributes:
        model: The registered model, with its aliases.
        version: Number of the version.
        tags: Tags of the version.
        server_counts: What each server has counted, if something else than the tags says so.
    """

    model: RegisteredModel
    version: str
    tags: Mapping[str, str]
    server_counts: Mapping[str, ServerCounts] | None = None

    @property
    def label(self) -> str:
        """`NAME version N`, for people."""
        return f"{self.model.name} version {self.version}"

    @property
    def word(self) -> str:
        """The state in one word, like `running`; empty without a rollout."""
        return self.tags.get(ROLLOUT_TAG, "").partition(":")[0].strip()

    @property
    def reason(self) -> str:
        """What the tag says after that word."""
        return self.tags.get(ROLLOUT_TAG, "").partition(":")[2].strip()

    @property
    def active(self) -> bool:
        """Whether the rollout has begun and not ended."""
        return self.word in ACTIVE

    @property
    def run_id(self) -> str:
        """Id of the run with the evidence; empty without one."""
        return self.tags.get(RUN_TAG, "")

    @property
    def lease(self) -> Lease | None:
        """The lease of whoever drives the rollout."""
        return Lease.from_text(self.tags.get(DRIVER_TAG))

    @cached_property
    def step(self) -> Step | None:
        """The step; None before the first, and when everything about the rollout is written."""
        return Step.parse(self.tags.get(STEP_TAG))

    @cached_property
    def plan(self) -> Plan:
        """The plan.

        Raises:
            RegistryError: The tag is no plan.
        """
        try:
            return parse_plan(self.tags.get(PLAN_TAG, "{}"))
        except PlanError as error:
            raise RegistryError(f"the plan of {self.label} cannot be read: {error}") from None

    @cached_property
    def servers(self) -> Mapping[str, ServerCounts]:
        """What each server has counted in this rollout, by its name."""
        if self.server_counts is not None:
            return self.server_counts
        found = {}
        for key, text in self.tags.items():
            if key.startswith(COUNTS_TAG):
                try:
                    counted = ServerCounts.parse(text)
                except ValueError:  # of another version of Cloche
                    continue
                if counted.run_id == self.run_id:
                    found[key.removeprefix(COUNTS_TAG)] = counted
        return found

    @cached_property
    def counts(self) -> RolloutCounts:
        """What all servers have counted together."""
        return sum((one.counts for one in self.servers.values()), RolloutCounts())

    @property
    def arms(self) -> list[str]:
        """The arms that this version is by its aliases."""
        return [arm for arm in ARMS if self.model.aliases.get(arm) == self.version]

    @property
    def taken_step(self) -> Step | None:
        """The next step, if its share is written already: whoever wrote it did not come further."""
        following = self.step and following_step(self.plan, self.step, self.step.since)
        if not following or following.alias not in self.arms:
            return None
        return following if self._share_is(following) else None

    @property
    def change_by_hand(self) -> str:
        """What somebody changed that a rollout writes, in words; empty if nothing."""
        step, aliases = self.step, self.model.aliases
        if step is None:
            return ""
        if self.model.production != step.production:
            return (
                f"{self.model.name}@production moved from version {step.production} to "
                f"{self.model.production or 'nothing'}, so the counts compare with another version"
            )
        if step.alias not in self.arms:
            now = f"names version {aliases[step.alias]}" if step.alias in aliases else "is gone"
            return f"the alias {step.alias} {now}"
        if not self._share_is(step):
            return f"the tag {step.percent_tag} is {self.tags.get(step.percent_tag, 'gone')}"
        return ""

    def _share_is(self, step: Step) -> bool:
        try:
            return float(self.tags.get(step.percent_tag, "")) == step.percent
        except ValueError:
            return False


def read_state(client: MlflowClient, model: str, version: str) -> RolloutState:
    """Read the state of a version's rollout.

    Raises:
        RegistryError: There is no such model or version.
    """
    found = find_version(client, model, version)
    return RolloutState(find_model(client, model), str(found.version), dict(found.tags))


def rolling_version(client: MlflowClient, model: str) -> str | None:
    """Return the number of the version that is the canary or the shadow; None if none is."""
    aliases = find_model(client, model).aliases
    return next((aliases[arm] for arm in ARMS if arm in aliases), None)
