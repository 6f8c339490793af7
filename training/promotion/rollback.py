"""The way back: `production` returns to a version that was in production before."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from cloche.digest import digest_tree
from cloche.training.errors import RegistryError
from cloche.training.gate.candidate import fetch
from cloche.training.names import DIGEST, GATE, PROMOTED_AT, REPLACED_AT
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
    found = find_model(client, model)
    number = to or _previous(client, found)
    if number == found.production:
        raise RegistryError(f"{model} version {number} is in production already")
    version = find_version(client, model, number)
    by = promoter(os.environ)
    left = f"from version {found.production}" if found.production else "from nothing"
    tags = audit_tags(at=clock.now(), by=by, reason=reason or f"rolled back {left}")
    if not was_in_production(found, version):
        if not force:
            raise RegistryError(_never_there(client, found, number))
        tags |= {GATE: "forced"}
    if DIGEST not in version.tags:
        tags |= {DIGEST: _digest(version)}
    with promotion_lock(client, model, by, clock) as held:
        if held.model.aliases != found.aliases:
            raise RegistryError(
                f"the aliases of {model} moved just now; "
                f"look at `cloche status {shlex.quote(model)}` and run the command again"
            )
        stages = move_production(client, held, number, tags)
    return Rollback(model, number, found.production, stages)


def was_in_production(model: RegisteredModel, version: ModelVersion) -> bool:
    """Whether the version served once, by the tags that promotions and rollbacks leave.

    Where an alias was moved by hand there is no tag of its coming, so its going counts as well: the
    tag that the next promotion leaves, and the alias `previous`, which comes before that.
    """
    return (
        str(version.version) == model.previous
        or (PROMOTED_AT in version.tags and DIGEST in version.tags)
        or REPLACED_AT in version.tags
    )


def _previous(client: MlflowClient, found: RegisteredModel) -> str:
    if found.previous is not None and found.previous != found.production:
        return found.previous
    others = _others(client, found)
    there = f"promoted before: {listed(others)}; name one: --to N" if others else "none was before"
    raise RegistryError(f"{found.name} has no previous version to go back to ({there})")


def _never_there(client: MlflowClient, found: RegisteredModel, number: str) -> str:
    others = _others(client, found)
    there = f"promoted before: {listed(others)}" if others else "none was"
    return (
        f"{found.name} version {number} was never in production ({there}); "
        f"`cloche promote {shlex.quote(found.name)} --version {number}` asks the gate, --force "
        "does without"
    )


def _others(client: MlflowClient, found: RegisteredModel) -> list[str]:
    """Numbers of the versions to go back to."""
    return [
        str(version.version)
        for version in versions_of(client, found.name)
        if was_in_production(found, version) and str(version.version) != found.production
    ]


def _digest(version: ModelVersion) -> str:
    with TemporaryDirectory(prefix="cloche-") as folder:
        return digest_tree(fetch(version, Path(folder)).folder)
