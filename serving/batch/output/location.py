"""The location of an output on this machine; `object_store` has that in an object store.

Names are relative to the folder, like `out.csv` or `out/_SUCCESS`. Both kinds write a file
completely or not at all. A local folder also publishes a directory in one step; a store cannot, so
there the files that mark the directory as complete are written last.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from cloche.serving.batch.storage import atomic_write


class Folder:
    """A folder on this machine.

    Attributes:
        shared: Whether machines without access to each other's working directories write there.
    """

    shared = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shown(self, name: str) -> str:
        """Return the path or URI of a name for messages."""
        return str(self._folder / name)

    def work(self, name: str, cache: Path) -> Path:  # noqa: ARG002
        """Return the working directory of a job that writes this output.

        It lies beside the output, so that a rename publishes the files.
        """
        return self._folder / f".{name}.cloche"

    def occupied(self, name: str) -> bool:
        """Return whether a file, or a directory that is not empty, has this name."""
        path = self._folder / name
        return any(path.iterdir()) if path.is_dir() else path.exists()

    def sizes(self, names: list[str]) -> list[int | None]:
        """Return the size of each file in bytes, None for a missing one."""
        paths = [self._folder / name for name in names]
        return [path.stat().st_size if path.exists() else None for path in paths]

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, None if it does not exist."""
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a small file in one step."""
        atomic_write.write(self._folder / name, content)

    def put(self, fresh: Path, name: str) -> None:
        """Publish a finished local file in one step, replacing what has this name.

        The file is renamed, so it must lie on the same disk.
        """
        path = self._folder / name
        if path.is_dir():
            shutil.rmtree(path)
        atomic_write.move(fresh, path)

    def put_directory(
        self, fresh: Path, name: str, last: tuple[str, ...], sure: Callable[[], None]  # noqa: ARG002
    ) -> None:  # fmt: skip
        """Publish a finished local directory, replacing what has this name.

        Args:
            fresh: The local directory.
            name: The name of the directory in this location.
            last: The files that mark the directory as complete, in the order to write them.
            sure: Raises if the directory must not be marked as complete.
        """
        path = self._folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        atomic_write.move(fresh, path)

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        (self._folder / name).unlink(missing_ok=True)
