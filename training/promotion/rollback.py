"""Rollback: moves `production` to a version that was in production before."""

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from cloche.registry.stage_names import NO_STAGE
from cloche.registry.version_digest import digest_tree
from cloche.registry.version_listing import versions_of
from cloche.training.errors import RegistryError
from cloche.training.gate.fetched_version import fetch
from cloche.training.names import (
    BEFORE,
    BEFORE_PREVIOUS,
    DIGEST,
    GATE,
    PREVIOUS,
    PRODUCTION,
    PROMOTED_AT,
    REPLACED_AT,
)
from cloche.training.promotion.alias_moves import (
    Tags,
    confirm_production,
    move_production,
    write_tags,
)
from cloche.training.promotion.audit import audit_tags, promoter
from cloche.training.promotion.lock import Clock, Lock, promotion_lock
from cloche.training.promotion.registry import RegisteredModel, find_model, find_version, join_names
from cloche.training.promotion.stage_tags import former_tags, note_former

_SYSTEM_CLOCK = Clock()


@dataclass(frozen=True)
class Rollback:
    """The result of a rollback.

    Attributes:
        version: Number of the version that serves again.
        replaced: Number of the version that served until now; None if none did.
        mirror_problem: Why MLflow's stage *Production* could not be set; None if it was. The JSON
            of the command has it as `stages`.
        before: Set only if the stage alone was taken back: the URI of the stage that is before the
            version again, or the text `none`.
        replaced_before: Likewise, of the stage that was before it until now.
    """

    model: str
    version: str
    replaced: str | None
    mirror_problem: str | None
    before: str | None = None
    replaced_before: str | None = None


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

    If the last change was one of the stage before the version that serves, that is taken back,
    unless `to` names a version.

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
    number = to
    if not number:
        versions = versions_of(client, model)
        if (change := _stage_change(versions, found)) is not None:
            return _roll_back_stage(client, found, change, reason, clock)
        number = _previous(versions, found)
    if number == found.production:
        raise RegistryError(f"{model} version {number} is in production already")
    version = find_version(client, model, number)
    by = promoter(os.environ)
    left = f"from version {found.production}" if found.production else "from nothing"
    tags: dict[str, str | None] = {
        **audit_tags(at=clock.now(), by=by, reason=reason or f"rolled back {left}")
    }
    if BEFORE_PREVIOUS in version.tags:
        tags |= {BEFORE_PREVIOUS: None}
    if not was_in_production(found, version):
        if not force:
            raise RegistryError(_never_there(client, found, number))
        tags |= {GATE: "forced"}
    if DIGEST not in version.tags:
        tags |= {DIGEST: _digest(version)}
    with promotion_lock(client, model, by, clock) as held:
        _check_unmoved(found, held)
        mirror_problem = move_production(client, held, number, tags)
    return Rollback(model, number, found.production, mirror_problem)


def _stage_change(
    versions: Iterable[ModelVersion], found: RegisteredModel
) -> tuple[ModelVersion, Tags] | None:
    """Return the version that serves and its former tags, if its stage was the last to change.

    Raises:
        RegistryError: Such a change was interrupted.
    """
    serving = next((v for v in versions if str(v.version) == found.production), None)
    former = None if serving is None else former_tags(serving.tags)
    if serving is None or former is None:
        return None
    if former[BEFORE] == serving.tags.get(BEFORE):
        raise RegistryError(
            f"a change of the stage before {found.name} version {found.production} was interrupted "
            f"({former[BEFORE] or NO_STAGE} is before it); name the version to go back to: --to N"
        )
    return serving, former


def _roll_back_stage(
    client: MlflowClient,
    found: RegisteredModel,
    change: tuple[ModelVersion, Tags],
    reason: str | None,
    clock: Clock,
) -> Rollback:
    """Restore the former stage of the version that serves, and note the one that goes."""
    (serving, former), by = change, promoter(os.environ)
    number = str(serving.version)
    before = serving.tags.get(BEFORE)
    replaced = before or NO_STAGE
    audit = audit_tags(at=clock.now(), by=by, reason=reason or f"rolled back from {replaced}")
    with promotion_lock(client, found.name, by, clock) as held:
        now = find_version(client, found.name, number).tags.get(BEFORE)
        _check_unmoved(found, held, stage_changed=now != before)
        mirror_problem = confirm_production(client, held, number, {**former, **audit})
        # Last: until then, a rollback that is interrupted looks like a change that was.
        write_tags(client, held, number, {BEFORE_PREVIOUS: note_former(serving.tags, None)})
    restored = former.get(BEFORE) or NO_STAGE
    return Rollback(found.name, number, None, mirror_problem, restored, replaced)


def _check_unmoved(found: RegisteredModel, held: Lock, *, stage_changed: bool = False) -> None:
    what = ""
    if held.model.aliases != found.aliases:
        what = f"the aliases of {found.name} moved"
    elif stage_changed:
        what = f"the stage before {found.name} version {found.production} changed"
    if what:
        raise RegistryError(
            f"{what} just now; look at `cloche status {shlex.quote(found.name)}` and run the "
            "command again"
        )


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


def _previous(versions: Sequence[ModelVersion], found: RegisteredModel) -> str:
    """Return the number of the version that served before, if the registry leaves no doubt.

    An alias that was moved by hand leaves no tags, so `previous` stays where the last promotion set
    it: the version that served until then is between the two. A promotion that was interrupted
    looks the same, and its version never served. A person has to say which it is.
    """
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
