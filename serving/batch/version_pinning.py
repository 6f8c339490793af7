"""Pins the version behind a model URI: resolves it once, downloads it and checks its digest."""

from dataclasses import replace
from pathlib import Path

import yaml
from mlflow.tracking import MlflowClient

from cloche.registry.connect_timeout import require_stores
from cloche.registry.version_digest import digest_tree
from cloche.serving.batch.job.pinned_job import PinnedVersion
from cloche.serving.batch.job.silence_notice import awaiting
from cloche.serving.errors import VersionRefused
from cloche.serving.registry.cache import Cache, registry_name
from cloche.serving.registry.fetch import fetch
from cloche.serving.registry.resolver import Resolver, translated_errors
from cloche.serving.registry.uri import parse


def pin(uri: str, cache_directory: Path) -> PinnedVersion:
    """Return the version that `uri` refers to now, with the twin that the registry names.

    Raises:
        ModelUriError: `uri` is not a model URI.
        VersionRefused: No such version exists, or its artifacts were altered since its promotion.
        RegistryUnreachable: The registry or the artifact store does not answer.
    """
    parsed = parse(uri)
    if parsed.model:
        with translated_errors(uri):
            require_stores()
    target = Resolver(MlflowClient).resolve(parsed)
    cache = Cache(cache_directory, registry_name())
    with awaiting(f"the store of {uri}"):
        path = fetch(target, cache).absolute()
    description = yaml.safe_load((path / "MLmodel").read_text()) or {}
    return PinnedVersion(
        uri=parsed.text,
        name=parsed.name,
        version=target.version,
        run_id=str(description.get("run_id") or ""),
        model_id=str(description.get("model_id") or ""),
        digest=target.digest or digest_tree(path),
        path=str(path),
        artifacts=target.artifacts,
        twin=target.twin,
    )


def pin_again(pinned: PinnedVersion, cache_directory: Path) -> PinnedVersion:
    """Return the same version for a resumed job, downloaded again if it is not in the cache.

    Raises:
        VersionRefused: The version no longer exists, or its artifacts have changed.
    """
    found = pin(pinned.artifacts, cache_directory)
    if found.digest != pinned.digest:
        raise VersionRefused(
            f"{pinned}: its artifacts are not those that the job began with. Begin anew with "
            "--overwrite."
        )
    return replace(pinned, path=found.path)
