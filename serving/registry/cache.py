"""The local cache of served versions: their artifacts, and which version last served each URI.

A version is fetched into a temporary directory that is renamed when the download is complete, so a
server that was killed during a download leaves nothing that could be mistaken for a version.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import mlflow

from cloche.processes.private_folders import make_private
from cloche.serving.registry.resolved_version import ResolvedVersion

_KEPT = 2  # versions for each URI: the one that serves, and the one that a rollback goes to
_ACCOUNT = re.compile(r"://[^/@]*@")
_FRESH_SECONDS = 24 * 3600
_UNLOCKED_SECONDS = 60.0  # a download that is still running has locked its directory by then


def registry_name() -> str:
    """Return the key under which the cache keeps versions of MLflow's current stores.

    The key contains no credentials and no trailing slash, so changing either keeps the cache.
    """
    uris = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    return " ".join(_ACCOUNT.sub("://", uri).rstrip("/") for uri in uris)


class Cache:
    """A directory with the cached versions of one registry."""

    def __init__(self, directory: Path, registry: str) -> None:
        self._root = directory / _short(registry)
        self._versions = self._root / "versions"

    def artifacts(self, resolved: ResolvedVersion, fetch: Callable[[Path], None]) -> Path:
        """Return the directory with the artifacts of a version; if absent, `fetch` fills it."""
        return self.directory(resolved.artifact_identity, fetch)

    def directory(self, identity: str, fill: Callable[[Path], None]) -> Path:
        """Return the directory of what has this identity; if absent, `fill` fills it."""
        directory = self._versions / _short(identity)
        with contextlib.suppress(OSError):
            os.utime(directory)  # `_prune` leaves what a job that begins now goes on with
        if not directory.is_dir():
            make_private(self._root)
            self._drop_abandoned()
            partial = directory.with_name(f"{directory.name}.{uuid.uuid4().hex}")
            partial.mkdir(parents=True)
            lock = _try_lock(partial)
            try:
                fill(partial)
                try:
                    partial.rename(directory)
                except OSError:  # another process on this machine may have been faster
                    if not directory.is_dir():
                        raise
            finally:
                shutil.rmtree(partial, ignore_errors=True)
                if lock is not None:
                    os.close(lock)
        return directory

    def discard(self, resolved: ResolvedVersion) -> None:
        """Delete the artifacts of a version that turned out to be altered or incomplete."""
        shutil.rmtree(self._directory(resolved), ignore_errors=True)

    def remember(self, uri: str, resolved: ResolvedVersion) -> None:
        """Record the version that serves for `uri`, and delete those that no URI used recently."""
        file = self._record_path(uri)
        before = [one for one in self._read_record(file) if one.identity != resolved.identity]
        versions = [resolved, *before][:_KEPT]
        make_private(self._root)
        file.parent.mkdir(exist_ok=True)
        fresh = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
        fresh.write_text(json.dumps([dataclasses.asdict(one) for one in versions]))
        fresh.replace(file)
        self._prune()

    def last_good(self, uri: str) -> ResolvedVersion | None:
        """Return the version that last served for `uri`, if its artifacts are still cached."""
        versions = self._read_record(self._record_path(uri))
        if versions and all(self._directory(one).is_dir() for one in versions[0].with_stages):
            return versions[0]
        return None

    def _directory(self, resolved: ResolvedVersion) -> Path:
        return self._versions / _short(resolved.artifact_identity)

    def _read_record(self, file: Path) -> list[ResolvedVersion]:
        """Return the versions in a record file, the most recent first."""
        try:
            return [ResolvedVersion.from_json(one) for one in json.loads(file.read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def _prune(self) -> None:
        """Delete versions that no record names, unless they are so new that a swap may need them.

        Another server on this machine may have fetched such a version and not yet recorded it.
        """
        records = (self._root / "served").glob("*.json")
        named = {
            self._directory(one).name
            for record in records
            for resolved in self._read_record(record)
            for one in resolved.with_stages
        }
        version_dirs = self._versions.iterdir() if self._versions.is_dir() else ()
        for directory in version_dirs:
            age = datetime.now(UTC).timestamp() - directory.stat().st_mtime
            if directory.name not in named and age > _FRESH_SECONDS:
                shutil.rmtree(directory, ignore_errors=True)

    def _drop_abandoned(self) -> None:
        """Delete the directories of interrupted downloads, which may be large."""
        for partial in self._versions.glob("*.*"):
            with contextlib.suppress(OSError):
                age = datetime.now(UTC).timestamp() - partial.stat().st_mtime
                if age > _UNLOCKED_SECONDS and (lock := _try_lock(partial)) is not None:
                    shutil.rmtree(partial, ignore_errors=True)
                    os.close(lock)

    def _record_path(self, uri: str) -> Path:
        return self._root / "served" / f"{_short(uri)}.json"


def _try_lock(directory: Path) -> int | None:
    """Lock a directory until the returned descriptor is closed or the process ends.

    Returns:
        The descriptor; None if another process holds the lock or the file system has no locks.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
