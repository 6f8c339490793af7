"""Download of a version's artifacts into the cache, and the check of their digest."""

import errno
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from cloche.registry.permissions import explain_refusal
from cloche.registry.version_digest import digest_tree, remove_bytecode
from cloche.registry.version_listing import files_of, missing_files
from cloche.serving.errors import RegistryUnreachable, VersionRefused
from cloche.serving.registry.cache import Cache
from cloche.serving.registry.error_messages import explain
from cloche.serving.registry.resolved_version import ResolvedVersion

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def fetch(resolved: ResolvedVersion, cache: Cache) -> Path:
    """Return the directory with the artifacts of `resolved`, checked against its digest.

    Raises:
        VersionRefused: The artifacts differ from what was promoted, or hold no model.
        RegistryUnreachable: Some artifacts cannot be downloaded at present.
    """
    # A local folder outside the registry is served in place, without a copy in the cache.
    here = not resolved.model and Path(resolved.artifacts).is_dir()
    place = (
        Path(resolved.artifacts)
        if here
        else cache.artifacts(resolved, lambda fresh: _download(resolved, fresh))
    )
    if resolved.digest or not here:
        _remove_bytecode(place)
    if resolved.digest and (found := digest_tree(place)) != resolved.digest:
        missing = missing_files(place)
        cache.discard(resolved)
        if missing:
            raise _incomplete(resolved, missing)
        raise VersionRefused(
            f"{resolved.artifacts}: its artifacts were altered: their digest is {found}, and "
            f"{resolved.digest} was promoted. Promote a version that is whole."
        )
    if not (place / "MLmodel").is_file():
        cache.discard(resolved)
        raise VersionRefused(f"{resolved.artifacts}: it holds no MLmodel file.")
    return place


def _remove_bytecode(place: Path) -> None:
    try:
        remove_bytecode(place)
    except OSError as error:
        raise VersionRefused(
            f"{place}: Python's bytecode in it is no part of what was promoted, and cannot be "
            f"removed: {error}"
        ) from error


def _download(resolved: ResolvedVersion, place: Path) -> None:
    artifacts = resolved.artifacts
    try:
        got = Path(
            files_of(resolved.model, resolved.version).download_artifacts("", str(place))
            if resolved.model
            else mlflow.artifacts.download_artifacts(artifact_uri=artifacts, dst_path=str(place))
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _incomplete(resolved, ["MLmodel"]) from error
    except MlflowException as error:
        raise RegistryUnreachable(f"{artifacts}: {explain(error)}") from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise RegistryUnreachable(
                f"{artifacts}: it cannot be kept in {place.parent}: {error.strerror}. Make room, "
                "or choose another --cache-dir."
            ) from error
        raise RegistryUnreachable(f"{artifacts}: {explain_refusal(error) or error}") from error
    if not got.samefile(place):  # some stores download into a directory of their own
        for child in got.iterdir():
            child.rename(place / child.name)
        got.rmdir()
    if not (place / "MLmodel").is_file():  # an object store reports no error for an absent folder
        raise _incomplete(resolved, ["MLmodel"])


def _incomplete(resolved: ResolvedVersion, missing: list[str]) -> RegistryUnreachable:
    return RegistryUnreachable(
        f"{resolved.artifacts}: its artifacts cannot be fetched: {', '.join(missing)} "
        f"{'is' if len(missing) == 1 else 'are'} not in the store. Restore what was there; `cloche "
        "status` names the version."
    )
