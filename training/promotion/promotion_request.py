"""What somebody asks of the gate; imports nothing that takes time."""

from dataclasses import dataclass, field
from pathlib import Path

from cloche.processes.child_variables import check_widened
from cloche.registry.env_manager import LOCAL, default_cache

PROBE_SECONDS = 300.0


@dataclass(frozen=True)
class PromotionRequest:
    """What somebody asks of the gate.

    Attributes:
        version: number of the version; the challenger by default.
        policy: path of a YAML file with the criteria; those that the version carries by default.
        allow_breaking: accept a changed signature, and a production that cannot be compared.
        force: promote it even if the gate refuses; needs a reason.
        reason: why, for the audit trail.
        timeout: seconds that each model has to load and predict the holdout.
        host_env: variables that models get besides; see `cloche.processes.child_variables`.
        env_manager: what builds the environment that each version is measured in; `local` for none.
        cache: where environments are kept.
    """

    version: str | None = None
    policy: str | None = None
    allow_breaking: bool = False
    force: bool = False
    reason: str | None = None
    timeout: float = PROBE_SECONDS
    host_env: tuple[str, ...] = ()
    env_manager: str = LOCAL
    cache: Path = field(default_factory=default_cache)

    def __post_init__(self) -> None:
        if self.force and not (self.reason or "").strip():
            raise ValueError("a forced promotion needs a reason for the audit trail")
        check_widened(self.host_env)
