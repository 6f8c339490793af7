"""The end of a rollout, whoever ends it; repeating it completes one that was interrupted."""

from dataclasses import dataclass, replace

from cloche.rollout.registry_keys import ABORTED, PROMOTED
from cloche.training.promotion.lock import Clock
from cloche.training.rollout.evidence_run import EvidenceRun
from cloche.training.rollout.look import Look
from cloche.training.rollout.writes import RolloutWrites

_LAST_COUNTS_SECONDS = 30.0  # in which a server notices that an alias is gone
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class RolloutEnd:
    """The end of a rollout.

    Attributes:
        outcome: `promoted`, `aborted` or, for a shadow alone, `passed`.
        reason: Why, as a clause.
        run_id: Id of the run with the evidence.
        mirror_problem: Why MLflow's stage *Production* could not be set; None if it was.
    """

    model: str
    version: str
    outcome: str
    reason: str
    run_id: str
    mirror_problem: str | None = None


def end_rollout(
    writes: RolloutWrites,
    run: EvidenceRun,
    look: Look,
    outcome: str,
    *,
    reason: str,
    clock: Clock,
) -> RolloutEnd:
    """Take the arms from the version, and write the record of the rollout."""
    if outcome == ABORTED:
        writes.abort(reason)
    else:
        writes.set_state(outcome, reason)
        writes.take_arms_away()
    run.record(look)
    run.add_event(look, outcome)
    run.finish(look, outcome, reason)
    _wait_for_servers(writes, clock)
    writes.forget_step()
    state = look.state
    return RolloutEnd(state.model.name, state.version, outcome, reason, state.run_id)


def end_promoted(
    writes: RolloutWrites, run: EvidenceRun, look: Look, *, by: str, reason: str, clock: Clock
) -> RolloutEnd:
    """Put the version into production, and write the record of the rollout.

    Raises:
        RegistryError: Production moved to another version, or a promotion holds the lock.
    """
    mirror_problem = writes.promote(look.step, by, reason, clock)
    end = end_rollout(writes, run, look, PROMOTED, reason=reason, clock=clock)
    return replace(end, mirror_problem=mirror_problem)


def _wait_for_servers(writes: RolloutWrites, clock: Clock) -> None:
    """Wait until each server has told that it serves neither arm, unless it is gone.

    A server writes its counts a last time then, and the tag would stay.
    """
    until = clock.elapsed() + _LAST_COUNTS_SECONDS
    while clock.elapsed() < until:
        if not any(one.percent or one.shadow_percent for one in writes.read().servers.values()):
            return
        clock.sleep(_PAUSE_SECONDS)
