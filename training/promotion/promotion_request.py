"""The request for a promotion; this module imports nothing that takes time."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from cloche.processes.child_variables import check_extra_names
from cloche.registry.env_manager import LOCAL, default_cache
from cloche.training.child_process import PROBE, import_ahead

PROBE_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class PromotionRequest:
    """A request to judge and promote a version.

    Attributes:
        version: Number of the version; by default the challenger.
        before: URI of the stage before the version, or `none`; by default that of its tag.
        on: The rows to judge on: `live`, or `live?since=DAY` for logged, labelled rows that no
            judged version was trained on; by default the policy's holdout.
        policy: Path of a YAML file with the policy; by default the version's own policy.
        allow_breaking: Whether to accept a changed signature, and a production version that cannot
            be compared.
        force: Whether to promote the version even if the gate refuses it; needs a reason.
        reason: Reason for the promotion, for the audit trail.
        gradually: Whether a rollout follows, which moves the aliases at its end.
        timeout: Seconds that each model may take to load and predict the holdout.
        host_env: Additional environment variables for models; see
            `cloche.processes.child_variables`.
        env_manager: Tool that builds the environment in which each version is measured; `local`
            builds none.
        cache: Folder where environments are kept.
    """

    version: str | None = None
    before: str | None = None
    on: str | None = None
    policy: str | None = None
    allow_breaking: bool = False
    force: bool = False
    reason: str | None = None
    gradually: bool = False
    timeout: float = PROBE_SECONDS
    host_env: tuple[str, ...] = ()
    env_manager: str = LOCAL
    cache: Path = field(default_factory=default_cache)

    def __post_init__(self) -> None:
        if self.force and not (self.reason or "").strip():
            raise ValueError("a forced promotion needs a reason for the audit trail")
        if self.on is not None and self.on.partition("?")[0] != "live":
            raise ValueError(f"--on {self.on}: versions are judged on live, or on live?since=DAY")
        check_extra_names(self.host_env)

    def importing(self) -> AbstractContextManager[None]:
        """Begin the imports of the processes that measure, unless each has its own environment."""
        local = self.env_manager == LOCAL
        return import_ahead(PROBE, self.host_env) if local else nullcontext()
