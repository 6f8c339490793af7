"""The end of a rollout, whoever ends it; repeating it completes one that was interrupted."""

from dataclasses import dataclass, replace

from cloche.rollout.registry_keys import ABORTED, PROMOTED
from cloche.training.promotion.lock import Clock
from cloche.training.rollout.evidence_run import EvidenceRun
from cloche.training.rollout.look import Look
from cloche.training.rollout.writes import RolloutWrites


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
    writes: RolloutWrites, run: EvidenceRun, look: Look, outcome: str, reason: str
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
    end = end_rollout(writes, run, look, PROMOTED, reason)
    return replace(end, mirror_problem=mirror_problem)
