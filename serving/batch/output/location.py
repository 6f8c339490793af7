"""Where an output lies: the folder of this machine that it appears in, or that of an object store.

Names are those below the folder, like `out.csv` or `out/_SUCCESS`. In both, a file is there whole
or not at all. A folder of this machine shows a directory in one step, too; a store cannot, so there
the files that say that it is complete come last.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cloche.serving.batch.storage import atomic_write


class Location(Protocol):
    """A folder that outputs lie in.

    Attributes:
        shared: Whether machines write there that do not see each other's working directories.
    """

    shared: bool

    def shown(self, name: str) -> str:
        """Where a person finds it."""

    def work(self, name: str, cache: Path) -> Path:
        """The working directory of a job that writes it."""

    def occupied(self, name: str) -> bool:
        """Whether something is there; an empty directory is nothing."""

    def sizes(self, names: list[str]) -> list[int | None]:
        """Bytes of each file, None for one that is not there."""

    def read(self, name: str) -> bytes | None:
        """A small file, None if it is not there."""

    def write(self, name: str, content: bytes) -> None:
        """Let a small file be there in one step."""

    def put(self, fresh: Path, name: str) -> None:
        """Let a finished file of this machine be there in one step, whatever was there before."""

    def put_directory(
        self, fresh: Path, name: str, last: tuple[str, ...], sure: Callable[[], None]
    ) -> None:
        """Let a directory be there, whatever was there before.

        Args:
            fresh: A finished directory of this machine.
            name: Its name there.
            last: Its files that say that it is complete, in this order.
            sure: Raises if they must not appear after all.
        """

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""


class Folder:
    """A folder of this machine."""

    shared = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shown(self, name: str) -> str:
        """See `Location.shown`."""
        return str(self._folder / name)

    def work(self, name: str, cache: Path) -> Path:  # noqa: ARG002
        """See `Location.work`. It lies beside the output, so that a rename publishes the files."""
        return self._folder / f".{name}.cloche"

    def occupied(self, name: str) -> bool:
        """See `Location.occupied`."""
        path = self._folder / name
        return any(path.iterdir()) if path.is_dir() else path.exists()

    def sizes(self, names: list[str]) -> list[int | None]:
        """See `Location.sizes`."""
        paths = [self._folder / name for name in names]
        return [path.stat().st_size if path.exists() else None for path in paths]

    def read(self, name: str) -> bytes | None:
        """See `Location.read`."""
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """See `Location.write`."""
        atomic_write.write(self._folder / name, content)

    def put(self, fresh: Path, name: str) -> None:
        """See `Location.put`. It moves, so it must lie on the same disk."""
        path = self._folder / name
        if path.is_dir():
            shutil.rmtree(path)
        atomic_write.move(fresh, path)

    def put_directory(
        self, fresh: Path, name: str, last: tuple[str, ...], sure: Callable[[], None]  # noqa: ARG002
    ) -> None:  # fmt: skip
        """See `Location.put_directory`."""
        path = self._folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        atomic_write.move(fresh, path)

    def remove(self, name: str) -> None:
        """See `Location.remove`."""
        (self._folder / name).unlink(missing_ok=True)
