"""Fetches the artifacts of a version into the cache and checks that they are what was promoted."""

from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from cloche.serving.errors import RegistryUnreachable, VersionRefused
from cloche.serving.registry.cache import Cache
from cloche.serving.registry.digest import digest_tree
from cloche.serving.registry.resolving import Target
from cloche.serving.registry.told import told


def fetch(target: Target, cache: Cache) -> Path:
    """The directory that holds the artifacts of `target`, checked against its digest.

    Raises:
        VersionRefused: They are absent, or not what was promoted.
        RegistryUnreachable: They cannot be fetched right now.
    """
    here = Path(target.artifacts)
    if here.is_dir():  # artifacts on this machine are served where they lie
        place = here
    else:
        place = cache.artifacts(target, lambda fresh: _download(target.artifacts, fresh))
    if target.digest and (found := digest_tree(place)) != target.digest:
        cache.discard(target)
        raise VersionRefused(
            f"{target.artifacts}: its artifacts were altered: their digest is {found}, and "
            f"{target.digest} was promoted. Promote a version that is whole."
        )
    if not (place / "MLmodel").is_file():
        cache.discard(target)
        raise VersionRefused(f"{target.artifacts}: it holds no MLmodel file.")
    return place


def _download(artifacts: str, place: Path) -> None:
    try:
        got = Path(mlflow.artifacts.download_artifacts(artifact_uri=artifacts, dst_path=str(place)))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VersionRefused(f"{artifacts}: its artifacts are not there.") from error
    except MlflowException as error:
        raise RegistryUnreachable(f"{artifacts}: {told(error)}") from error
    except OSError as error:
        raise RegistryUnreachable(f"{artifacts}: {error}") from error
    if not got.samefile(place):  # some stores download into a directory of their own
        for child in got.iterdir():
            child.rename(place / child.name)
        got.rmdir()
