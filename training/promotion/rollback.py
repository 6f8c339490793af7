"""Rollback: moves `production` to a version that was in production before."""

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from cloche.registry.version_digest import digest_tree
from cloche.registry.version_listing import versions_of
from cloche.training.errors import RegistryError
from cloche.training.gate.fetched_version import fetch
from cloche.training.names import DIGEST, GATE, PREVIOUS, PRODUCTION, PROMOTED_AT, REPLACED_AT
from cloche.training.promotion.alias_moves import move_production
from cloche.training.promotion.audit import audit_tags, promoter
from cloche.training.promotion.lock import Clock, promotion_lock
from cloche.training.promotion.registry import RegisteredModel, find_model, find_version, join_names

_SYSTEM_CLOCK = Clock()


@dataclass(frozen=True)
class Rollback:
    """The result of a rollback.

    Attributes:
        version: Number of the version that serves again.
        replaced: Number of the version that served until now; None if none did.
        stages: Why the stage could not be set; None if it was. The JSON of the command has it, too.
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
    """Move `production` back to `previous`, or to another version that was promoted before.

    The gate does not judge the version again: it judged it once, and a rollback has to work when
    something is wrong.

    Args:
        client: MLflow client for the registry.
        model: Name of the registered model.
        to: Number of the version; by default `previous`.
        reason: Reason for the rollback, for the audit trail.
        force: Whether to accept a version that was never in production.
        clock: The clock.

    Raises:
        RegistryError: There is no version to go back to, or another promotion holds the lock.
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
        stage_problem = move_production(client, held, number, tags)
    return Rollback(model, number, found.production, stage_problem)


def was_in_production(model: RegisteredModel, version: ModelVersion) -> bool:
    """Return whether the version has served, by the tags that promotions and rollbacks leave.

    If `production` was moved to a version by hand, no tag says so. But the next promotion adds a
    tag to the version that it replaces and, before that, the alias `previous`; both count as well.
    """
    return (
        str(version.version) == model.previous
        or (PROMOTED_AT in version.tags and DIGEST in version.tags)
        or REPLACED_AT in version.tags
    )


def _previous(client: MlflowClient, found: RegisteredModel) -> str:
    """Return the number of the version that served before, if the registry leaves no doubt.

    An alias that was moved by hand leaves no tags, so `previous` stays where the last promotion set
    it: the version that served until then is between the two. A promotion that was interrupted
    looks the same, and its version never served. A person has to say which it is.
    """
    versions = versions_of(client, found.name)
    others = _others(versions, found)
    if found.previous is None or found.previous == found.production:
        there = (
            f"promoted before: {join_names(others)}; name one: --to N"
            if others
            else "none was before"
        )
        raise RegistryError(f"{found.name} has no previous version to go back to ({there})")
    at = {str(v.version): v.tags[PROMOTED_AT] for v in versions if PROMOTED_AT in v.tags}
    last = max(at, key=at.__getitem__, default=found.previous)
    if last != found.previous and at[last] > at.get(str(found.production), ""):
        raise RegistryError(
            f"version {found.production} of {found.name} is in production, but the last that was "
            f"promoted is version {last}: either `{PRODUCTION}` was moved by hand, or a promotion "
            f"was interrupted. Name the version to go back to: --to {last}, if it served, or "
            f"--to {found.previous}, where `{PREVIOUS}` stands"
        )
    return found.previous


def _never_there(client: MlflowClient, found: RegisteredModel, number: str) -> str:
    others = _others(versions_of(client, found.name), found)
    there = f"promoted before: {join_names(others)}" if others else "none was"
    return (
        f"{found.name} version {number} was never in production ({there}); "
        f"`cloche promote {shlex.quote(found.name)} --version {number}` asks the gate, --force "
        "does without"
    )


def _others(versions: Iterable[ModelVersion], found: RegisteredModel) -> list[str]:
    """Return the numbers of the versions that a rollback could go back to."""
    return [
        str(version.version)
        for version in versions
        if was_in_production(found, version) and str(version.version) != found.production
    ]


def _digest(version: ModelVersion) -> str:
    with TemporaryDirectory(prefix="cloche-") as folder:
        return digest_tree(fetch(version, Path(folder)).folder)
