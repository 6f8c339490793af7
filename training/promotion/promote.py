"""A whole promotion: judge, write the evidence, and move the alias or give the reasons why not."""

import os
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from cloche.registry.stage_names import NO_STAGE
from cloche.training.errors import GateRefusal, RegistryError
from cloche.training.gate.candidate_stages import find_stages
from cloche.training.gate.evidence_run import record
from cloche.training.gate.fetched_version import uris
from cloche.training.names import (
    ACCEPTED,
    BEFORE,
    CHALLENGER,
    DIGEST,
    GATE,
    GATE_RUN,
    PRODUCTION,
)
from cloche.training.promotion.alias_moves import (
    PRODUCTION_STAGE,
    Tags,
    confirm_production,
    follow_up,
    move_production,
    write_tags,
)
from cloche.training.promotion.audit import audit_tags, promoter
from cloche.training.promotion.evaluate_candidate import (
    EvaluatedCandidate,
    chosen_version,
    evaluate,
    stage_before,
)
from cloche.training.promotion.lock import Clock, promotion_lock
from cloche.training.promotion.promotion_request import PromotionRequest
from cloche.training.promotion.registry import RegisteredModel, find_model, find_version
from cloche.training.promotion.stage_tags import judged_stages, pinned_uri, stage_tags
from cloche.values.progress import Say

_DEFAULT_REQUEST = PromotionRequest()
_SYSTEM_CLOCK = Clock()


@dataclass(frozen=True)
class Promotion:
    """The result of a promotion.

    Attributes:
        version: Number of the version that was judged, or that already serves.
        replaced: Number of the version that served before; None if none did, or no alias moved.
        evaluated: Result of the gate; None if the version already served and was not judged.
        run_id: Id of the run with the evidence; None if none was written.
        mirror_problem: Why MLflow's stage *Production* could not be set; None if it was.
        gradually: Whether the aliases stay, because a rollout of the version follows.
    """

    model: str
    version: str
    replaced: str | None = None
    evaluated: EvaluatedCandidate | None = None
    run_id: str | None = None
    mirror_problem: str | None = None
    gradually: bool = False


class PromotionRefusal(GateRefusal):
    """The gate refused a version.

    Attributes:
        run_id: Id of the run with the evidence; None if none was written.
    """

    def __init__(self, evaluated: EvaluatedCandidate, run_id: str | None) -> None:
        self.evaluated = evaluated
        self.run_id = run_id
        failed = evaluated.judgement.decision.failed
        reasons = "\n".join(f"  - {verdict.sentence}" for verdict in failed)
        super().__init__(f"the gate refused {evaluated.judgement.candidate.label}\n{reasons}")


def promote(
    client: MlflowClient,
    model: str,
    request: PromotionRequest = _DEFAULT_REQUEST,
    *,
    say: Say = lambda _: None,
    clock: Clock = _SYSTEM_CLOCK,
) -> Promotion:
    """Judge a version and, if it passes or is forced, put it into production.

    With stages before it, the version is judged after them, and goes into production with them.
    Gradually, the aliases stay where they are, unless nothing serves yet.

    Args:
        client: MLflow client for the tracking store and the registry.
        model: Name of the registered model.
        request: The request, which names the version, the criteria and the exceptions to accept.
        say: Called with a description of each step as it begins.
        clock: The clock.

    Raises:
        PromotionRefusal: The gate refused the version; the evidence is written, and linked from the
            version, unless only its stage was to change.
        GateRefusal: The version does not fit the stages before it; nothing is written.
        NotMeasured: A process of the gate could not do its work.
        RegistryError: The version, its policy or its holdout is not there, or an alias moved or a
            stage changed during the judgement.
        RecipeError: The policy file is wrong.
        DataError: The holdout cannot be judged on.
        TrainingError: The holdout's target does not fit the task.
    """
    found = find_model(client, model)
    number = chosen_version(found, request)
    if number == found.production:
        version = find_version(client, found.name, number)
        # A version whose alias was set by hand has no verdict yet.
        accepted = version.tags.get(GATE) in ACCEPTED
        if accepted and _serves_as_judged(client, version, request):
            return _already_serving(client, found, version, clock)
    return apply(client, evaluate(client, found, request, say), request, say=say, clock=clock)


def apply(
    client: MlflowClient,
    evaluated: EvaluatedCandidate,
    request: PromotionRequest,
    *,
    say: Say,
    clock: Clock,
) -> Promotion:
    """Write the result of the gate and act on it; all writes of a judged version happen here.

    Raises:
        PromotionRefusal: The gate refused the version.
        RegistryError: An alias moved or a stage changed during the judgement, or another promotion
            holds the lock.
    """
    found, number = evaluated.model, evaluated.version
    say("writing the evidence")
    run_id = record(
        client,
        evaluated.judgement,
        outcome=evaluated.outcome,
        reason=request.reason,
        now=clock.now(),
    )
    if evaluated.outcome == "refused":
        if not evaluated.changes_stage:  # what serves has evidence of its own
            client.set_model_version_tag(found.name, number, GATE, "refused")
            client.set_model_version_tag(found.name, number, GATE_RUN, run_id)
        raise PromotionRefusal(evaluated, run_id)
    say("moving the aliases")
    gradually = request.gradually and found.production not in (None, number)
    by = promoter(os.environ)
    with promotion_lock(client, found.name, by, clock) as held:
        named = request.version is not None or number == found.production
        _check_aliases(found, held.model, number, named=named)
        _check_stages(client, evaluated)
        reason = request.reason or "passed the gate"
        judgement = evaluated.judgement
        tags: Tags = {
            **stage_tags(
                judgement.candidate, judgement.production if evaluated.changes_stage else None
            ),
            GATE: evaluated.outcome,
            GATE_RUN: run_id,
            DIGEST: evaluated.digest,
        }
        if gradually:
            write_tags(client, held, number, tags)
            return Promotion(found.name, number, evaluated=evaluated, run_id=run_id, gradually=True)
        tags = {**tags, **audit_tags(at=clock.now(), by=by, reason=reason)}
        serves = number == found.production
        write = confirm_production if serves else move_production
        mirror_problem = write(client, held, number, tags)
    return Promotion(
        found.name, number, replaced=None if serves else found.production, evaluated=evaluated,
        run_id=run_id, mirror_problem=mirror_problem,
    )  # fmt: skip


def _serves_as_judged(
    client: MlflowClient, version: ModelVersion, request: PromotionRequest
) -> bool:
    """Whether a version that serves was judged with the stages that are asked for, and has them.

    If no stage is asked for, and no tag names one, nothing is compared.
    """
    before = stage_before(version, request)
    if not before:
        return True
    stages = find_stages(client, before, f"{version.name} version {version.version}")
    return version.tags.get(BEFORE) == pinned_uri(stages) and uris(stages) == judged_stages(
        client, version
    )


def _already_serving(
    client: MlflowClient, found: RegisteredModel, version: ModelVersion, clock: Clock
) -> Promotion:
    """Complete an interrupted promotion of a version that already serves, without a judgement."""
    number = str(version.version)
    if found.challenger != number and version.current_stage == PRODUCTION_STAGE:
        return Promotion(found.name, number)
    with promotion_lock(client, found.name, promoter(os.environ), clock) as held:
        _check_aliases(found, held.model, number, named=True)
        mirror_problem = follow_up(client, held.model, number)
    return Promotion(found.name, number, mirror_problem=mirror_problem)


def _check_aliases(
    before: RegisteredModel, now: RegisteredModel, number: str, *, named: bool
) -> None:
    """Check that the aliases are those that were read when the judgement began.

    Raises:
        RegistryError: An alias moved in the meantime.
    """
    moved = []
    if now.production != before.production:
        moved.append((PRODUCTION, before.production, now.production))
    if not named and now.challenger != number:
        moved.append((CHALLENGER, number, now.challenger))
    if moved:
        alias, old, new = moved[0]
        raise RegistryError(
            f"{before.name}@{alias} moved from {old or 'nothing'} to {new or 'nothing'} while "
            f"version {number} was looked at; run the command again"
        )


def _check_stages(client: MlflowClient, evaluated: EvaluatedCandidate) -> None:
    """Check that the tags of the versions name the stages that they named when they were judged.

    Versions that had no stage, as most have, are not read again, which would cost each promotion
    two calls. So a tag that was set by hand meanwhile goes unnoticed; `cloche status` tells of it.

    Raises:
        RegistryError: The stage before a version changed in the meantime.
    """
    for judged in (evaluated.judgement.candidate, evaluated.judgement.production):
        if judged is None or not (judged.stages or BEFORE in judged.version.tags):
            continue
        name, number = judged.version.name, str(judged.version.version)
        old = judged.version.tags.get(BEFORE)
        new = find_version(client, name, number).tags.get(BEFORE)
        # A promotion of the same versions that died may have written the judged stage already.
        if new not in (old, pinned_uri(judged.stages)):
            raise RegistryError(
                f"the stage before {name} version {number} changed from {old or NO_STAGE} to "
                f"{new or NO_STAGE} while version {evaluated.version} was looked at; run the "
                "command again"
            )
