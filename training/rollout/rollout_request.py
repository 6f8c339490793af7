"""The request for a rollout; this module imports nothing that takes time."""

from dataclasses import dataclass

POLL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class RolloutRequest:
    """A request to walk a version through its rollout, or to go on with that.

    Attributes:
        version: Number of the version; by default the one whose rollout goes on, or the challenger.
        plan: Path of a YAML file with the plan; by default the version's own plan.
        steps: Shares that replace those of the plan, like `1,5,25`.
        shadow_only: Whether to end after the shadow.
        retry: Whether to begin anew with a version whose rollout was aborted.
        poll: Seconds between two looks.
        prometheus: URL of the Prometheus that has the counts; by default the servers' tags do.
    """

    version: str | None = None
    plan: str | None = None
    steps: str | None = None
    shadow_only: bool = False
    retry: bool = False
    poll: float = POLL_SECONDS
    prometheus: str | None = None
