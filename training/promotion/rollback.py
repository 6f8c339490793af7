"""The way back: `production` returns to a version that was in production before."""

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from cloche.digest import digest_tree
from cloche.training.errors import RegistryError
from cloche.training.gate.candidate import fetch
from cloche.training.names import DIGEST, GATE, PROMOTED_AT
from cloche.training.promotion.audit import audit_tags, promoter
from cloche.training.promotion.lock import Clock, promotion_lock
from cloche.training.promotion.order import move_production
from cloche.training.promotion.registry import (
    RegisteredModel,
    find_model,
    find_version,
    listed,
)
from cloche.versions import versions_of

_SYSTEM_CLOCK = Clock()


@dataclass(frozen=True)
class Rollback:
    """What a rollback did.

    Attributes:
        model: name of the registered model.
        version: the version that serves again.
        replaced: the version that served until now.
        stages: why stages could not be mirrored; None if they were.
    """

    model: str
    version: str
    replaced: str | None
    stages: str | None


def roll_back(
    client: MlflowClient,
    model: str,
    *,
    to: str | None = None,
    reason: str | None = None,
    force: bool = False,
    clock: Clock = _SYSTEM_CLOCK,
) -> Rollback:
    """Put `production` back to `previous`, or to a version that was promoted before.

    The gate is not asked again: it judged the version once, and this is the way out of trouble.

    Args:
        client: of the registry.
        model: name of the registered model.
        to: number of the version; `previous` by default.
        reason: why, for the audit trail.
        force: accept a version that no gate let pass.
        clock: the time.

    Raises:
        RegistryError: there is nowhere to go back to, or somebody else is promoting.
    """
    by = promoter(os.environ)
    find_model(client, model)  # a wrong name is said before the lock is asked for
    with promotion_lock(client, model, by, clock) as check:
        found = find_model(client, model)
        number = to or _previous(client, found)
        if number == found.production:
            raise RegistryError(f"{model} version {number} is in production already")
        version = find_version(client, model, number)
        left = f"from version {found.production}" if found.production else "from nothing"
        tags = audit_tags(at=clock.now(), by=by, reason=reason or f"rolled back {left}")
        if not was_promoted(version):
            if not force:
                raise RegistryError(_never_promoted(client, model, number))
            tags |= {GATE: "forced", DIGEST: _digest(version)}
        stages = move_production(
            client, model, number, serving=found.production, tags=tags, check=check
        )
    return Rollback(model, number, found.production, stages)


def was_promoted(version: ModelVersion) -> bool:
    """Whether a gate let the version pass, or somebody forced it, and it was promoted."""
    return PROMOTED_AT in version.tags and DIGEST in version.tags


def _previous(client: MlflowClient, found: RegisteredModel) -> str:
    if found.previous is not None and found.previous != found.production:
        return found.previous
    others = [
        str(version.version)
        for version in versions_of(client, found.name)
        if was_promoted(version) and str(version.version) != found.production
    ]
    there = f"promoted before: {listed(others)}; name one: --to N" if others else "none was before"
    raise RegistryError(f"{found.name} has no previous version to go back to ({there})")


def _never_promoted(client: MlflowClient, model: str, number: str) -> str:
    others = [str(v.version) for v in versions_of(client, model) if was_promoted(v)]
    there = f"promoted before: {listed(others)}" if others else "none was"
    return (
        f"{model} version {number} was never in production ({there}); "
        f"`cloche promote {model} --version {number}` asks the gate, --force does without"
    )


def _digest(version: ModelVersion) -> str:
    with TemporaryDirectory(prefix="cloche-") as folder:
        return digest_tree(fetch(version, Path(folder)).folder)
