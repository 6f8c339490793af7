"""The version to which a model URI resolves, as the registry process tells it to the front."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class ResolvedVersion:
    """The version to which a model URI resolves.

    Attributes:
        version: The number of the version; empty for artifacts outside the registry.
        artifacts: The URI of the artifacts; only for messages where `model` is set.
        identity: A text that differs between any two versions, even of a registry that was set up
            again under the same address. With stages, it differs for each combination.
        revision: A hash that changes whenever the version, its aliases or its tags change, other
            than those of the servers that count.
        digest: The digest that the artifacts must have; empty if none was recorded.
        twin: The digest of the twin that may answer in the model's place: empty without a twin, ANY
            for artifacts outside the registry, where no digest can be recorded.
        model: The name of the registered model; empty for artifacts outside the registry.
        retry: Whether a request whose model host was lost may be sent to another host.
        before: The URI of the stage before the model; empty without one.
        stages: The versions of the stages before the model, in the order of the rows, if they were
            resolved.
        name: The name under which a stage is served; empty for a version that is none.
        own_identity: The identity without the stages; empty without stages.
        canary_percent: The tag that gives a canary's share; empty without one.
        shadow_percent: The tag that gives a shadow's share; empty without one.
        rollout: The tag that tells the state of the version's rollout; empty without one.
        rollout_plan: The tag with the plan of the version's rollout, as JSON; empty without one.
        rollout_run_id: The tag that names the run of the version's rollout; empty without one.
        counting_servers: The servers that count requests of this rollout now.
        alarms: How many alarms of `cloche monitor` go on for the model; None without a monitoring.
        problem: Why the stages of a canary or a shadow cannot be found; empty if they can.
        low_priority: Whether its hosts are to yield to all others, as those of a shadow.
    """

    version: str
    artifacts: str
    identity: str
    revision: str
    digest: str = ""
    twin: str = ""
    model: str = ""
    retry: bool = True
    before: str = ""
    stages: "tuple[ResolvedVersion, ...]" = ()
    name: str = ""
    own_identity: str = ""
    canary_percent: str = ""
    shadow_percent: str = ""
    rollout: str = ""
    rollout_plan: str = ""
    rollout_run_id: str = ""
    counting_servers: tuple[str, ...] = ()
    alarms: int | None = None
    problem: str = ""
    low_priority: bool = False

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "ResolvedVersion":
        """Create what `asdict` has made a JSON object of."""
        stages = tuple(cls.from_json(one) for one in fields.get("stages", ()))
        servers = tuple(fields.get("counting_servers", ()))
        return cls(**{**fields, "stages": stages, "counting_servers": servers})

    @property
    def artifact_identity(self) -> str:
        """A text that differs between any two versions, whatever their stages."""
        return self.own_identity or self.identity

    @property
    def with_stages(self) -> "tuple[ResolvedVersion, ...]":
        """The versions of the stages and this one, in the order of the rows."""
        return (*self.stages, self)

    def after(self, stage: "ResolvedVersion", name: str = "") -> "ResolvedVersion":
        """Return this version after a stage of this name, with all that is before the stage."""
        return replace(
            self,
            stages=(*stage.stages, replace(stage, stages=(), name=name)),
            own_identity=self.identity,
            identity=f"{stage.identity} {self.identity}",
            revision=f"{stage.revision} {self.revision}",
        )
