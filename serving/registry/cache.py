"""The local cache of served versions.

Artifacts as they were fetched, and which version last served each URI.

A version is fetched into a directory of its own and appears under its name only when it is whole,
so a server that was killed while fetching leaves nothing that could be mistaken for a version.
"""

import dataclasses
import hashlib
import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from serving.registry.resolving import Target


class Cache:
    """A directory that belongs to one registry."""

    def __init__(self, directory: Path, registry: str) -> None:
        self._root = directory / _short(registry)

    def artifacts(self, target: Target, fetch: Callable[[Path], None]) -> Path:
        """The directory with the artifacts of `target`; `fetch` fills one that is not there yet."""
        place = self._root / "versions" / _short(target.identity)
        if not place.is_dir():
            fresh = place.with_name(f"{place.name}.{uuid.uuid4().hex}")
            fresh.mkdir(parents=True)
            try:
                fetch(fresh)
                if not place.is_dir():  # another server on this machine may have been faster
                    fresh.rename(place)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        return place

    def discard(self, target: Target) -> None:
        """Forget artifacts that turned out to be altered."""
        shutil.rmtree(self._root / "versions" / _short(target.identity), ignore_errors=True)

    def remember(self, uri: str, target: Target) -> None:
        """Note that `target` serves behind `uri`.

        And drop what served there before the version before it.
        """
        file = self._note(uri)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
        fresh.write_text(json.dumps(dataclasses.asdict(target)))
        fresh.replace(file)

    def last_good(self, uri: str) -> Target | None:
        """The version that last served behind `uri`, if its artifacts are still here."""
        try:
            target = Target(**json.loads(self._note(uri).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        here = (self._root / "versions" / _short(target.identity)).is_dir()
        return target if here else None

    def _note(self, uri: str) -> Path:
        return self._root / "served" / f"{_short(uri)}.json"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
