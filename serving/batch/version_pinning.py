"""Pins the version behind a model URI: resolves it once, downloads it and checks its digest.

A version with stages before it is pinned with them. The job then has the folder of a model that
chains all versions, so that whatever scores rows sees one model. Errors, progress and labels name
the stages.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from mlflow.tracking import MlflowClient

from cloche.registry.connect_timeout import require_stores
from cloche.registry.stage_chain import LOADER, ChainMisfit, Member, write_chain
from cloche.registry.stage_names import NO_STAGE, title
from cloche.registry.version_digest import digest_tree
from cloche.serving.batch.job.pinned_job import PinnedMember, PinnedVersion
from cloche.serving.batch.job.silence_notice import awaiting
from cloche.serving.errors import VersionRefused
from cloche.serving.host.reference_profile import write_joint_profile
from cloche.serving.registry.cache import Cache, registry_name
from cloche.serving.registry.fetch import fetch
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.resolver import Resolver, translated_errors
from cloche.serving.registry.uri import ModelUri, parse


def pin(uri: str, cache_directory: Path, before: str = "") -> PinnedVersion:
    """Return the version that `uri` refers to now: with its stages, or else with its twin.

    Args:
        uri: The model URI.
        cache_directory: The directory of downloaded versions.
        before: The URI of the stage before the version; NO_STAGE for none; empty for the one that
            the version's tag names, if any.

    Raises:
        ModelUriError: `uri` or `before` is not a model URI.
        VersionRefused: No such version exists, its artifacts were altered since its promotion, or
            the stage does not fit it.
        RegistryUnreachable: The registry or the artifact store does not answer.
    """
    parsed = replace(parse(uri), before=before)
    stage = [] if before in ("", NO_STAGE) else [parse(before)]
    resolved = _resolver(*stage, parsed).resolve_with_stages(parsed)
    names = [*(stage.name for stage in resolved.stages), parsed.name]
    pinned = _pinned(parsed, names, resolved.with_stages, cache_directory)
    return replace(pinned, before=before)


def pin_again(pinned: PinnedVersion, cache_directory: Path) -> PinnedVersion:
    """Return the same versions for a resumed job, downloaded again if they are not in the cache.

    Raises:
        VersionRefused: A version no longer exists, or its artifacts have changed.
    """
    names = [*(stage.name for stage in pinned.stages), pinned.name]
    exact = [*(stage.artifacts for stage in pinned.stages), pinned.artifacts]
    uris = [
        parse(one if one.startswith("models:") else f"{name}={one}")
        for name, one in zip(names, exact, strict=True)
    ]
    found = _pinned(uris[-1], names, [*map(_resolver(*uris).resolve, uris)], cache_directory)
    if (found.digest, found.stages) != (pinned.digest, pinned.stages):
        raise VersionRefused(
            f"{pinned}: its artifacts are not those that the job began with. Begin anew with "
            "--overwrite."
        )
    return replace(pinned, path=found.path)


def _resolver(*uris: ModelUri) -> Resolver:
    """Check that the registry answers if one of these URIs needs it, and return a resolver."""
    if any(uri.model for uri in uris):
        with translated_errors(uris[-1].text):
            require_stores()
    return Resolver(MlflowClient)


def _pinned(
    uri: ModelUri, names: Sequence[str], versions: Sequence[ResolvedVersion], cache_directory: Path
) -> PinnedVersion:
    """Return the last of these versions with the others as its stages, fetched and checked.

    Args:
        uri: The URI of the last one.
        names: The name of each version, which those outside the registry lack.
        versions: The versions, in the order of the rows.
        cache_directory: The directory of downloaded versions.
    """
    cache = Cache(cache_directory, registry_name())
    with awaiting(f"the store of {uri.text}"):
        folders = [fetch(one, cache).absolute() for one in versions]
    *stages, model = [
        PinnedMember(
            one.model or name, one.version, one.digest or digest_tree(folder), one.artifacts,
        )
        for name, one, folder in zip(names, versions, folders, strict=True)
    ]  # fmt: skip
    path = _chained([*stages, model], folders, cache) if stages else folders[-1]
    description = yaml.safe_load((path / "MLmodel").read_text()) or {}
    return PinnedVersion(
        uri=uri.text,
        name=uri.name,
        version=model.version,
        run_id=str(description.get("run_id") or ""),
        model_id=str(description.get("model_id") or ""),
        digest=model.digest,
        path=str(path),
        artifacts=model.artifacts,
        twin="" if stages else versions[-1].twin,  # a twin takes the model's own inputs
        stages=tuple(stages),
    )


def _chained(versions: Sequence[PinnedMember], folders: Sequence[Path], cache: Cache) -> Path:
    """Return the folder of a model that chains versions; it is in the cache as versions are.

    Raises:
        VersionRefused: The versions do not fit each other.
    """
    names = [title(one.name, one.version) for one in versions]
    digests = [one.digest for one in versions]
    identity = json.dumps([LOADER, names, digests, [str(folder) for folder in folders]])

    def write(chain: Path) -> None:
        write_chain(chain, list(map(Member, names, folders)))
        write_joint_profile(chain, folders[0], folders[-1])

    try:
        return cache.directory(identity, write).absolute()
    except ChainMisfit as misfit:
        raise VersionRefused(f"{misfit} To score after another stage: --before URI.") from misfit
