"""The destination of a prediction log: a folder, or a place in an object store."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa
from pyarrow import fs

from cloche.object_stores import explain, open_store


class DestinationFailed(Exception):
    """The destination does not answer, refuses, or holds something unreadable."""


class File(NamedTuple):
    """A file at the destination; its path is relative to the destination."""

    path: str
    size: int


class Destination:
    """A destination, of which every method may raise `DestinationFailed`."""

    def __init__(self, uri: str, system: fs.FileSystem, root: str) -> None:
        self.given = uri  # a local path is absolute
        self.uri = uri.partition("?")[0].rstrip("/") or uri
        self.filesystem = system
        self.root = root.rstrip("/")

    @classmethod
    def of(cls, uri: str) -> Self:
        """Return the destination that a path or a URI names.

        Raises:
            StoreUnknown: The kind of store is unknown, or its library is not installed.
            DestinationFailed: The store does not answer.
        """
        if "://" not in uri:
            path = str(Path(uri).expanduser().absolute())
            return cls(path, fs.LocalFileSystem(), path)
        try:
            return cls(uri, *open_store(uri))
        except OSError as error:
            raise DestinationFailed(explain(uri.partition("?")[0], error)) from error

    def at(self, path: str) -> str:
        """Return the path of a file in `filesystem`."""
        return f"{self.root}/{path}"

    def shown(self, path: str) -> str:
        """Return the path or URI of a file, for people."""
        return f"{self.uri}/{path}"

    def files(self, folder: str = "", *, suffix: str = "") -> list[File]:
        """List the whole files below a folder, sorted by path; none if the folder is missing."""
        selector = fs.FileSelector(
            self.at(folder) if folder else self.root, allow_not_found=True, recursive=True
        )
        with self._explaining(folder):
            found = self.filesystem.get_file_info(selector)
        begin = len(self.root) + 1
        return sorted(
            File(info.path[begin:], info.size)
            for info in found
            if info.is_file and info.path.endswith(suffix) and not info.base_name.startswith(".")
        )

    def read(self, path: str) -> bytes | None:
        """Read a file; None if it is missing."""
        with self._explaining(path):
            try:
                with self.filesystem.open_input_stream(self.at(path)) as stream:
                    content: bytes = stream.read()
                    return content
            except FileNotFoundError:
                return None

    def put(self, path: str, content: bytes | memoryview) -> None:
        """Write a whole file, or leave what was there; a new content replaces an old one."""
        with self._explaining(path):
            if isinstance(self.filesystem, fs.LocalFileSystem):
                _write(Path(self.at(path)), content)
                return
            # no `with`: an Arrow stream that is closed by an exception publishes an incomplete file
            stream = self.filesystem.open_output_stream(self.at(path))
            stream.write(content)
            stream.close()

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with self._explaining(path), suppress(FileNotFoundError):
            self.filesystem.delete_file(self.at(path))

    @contextmanager
    def _explaining(self, path: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise DestinationFailed(explain(self.shown(path), error)) from error


def _write(place: Path, content: bytes | memoryview) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.{secrets.token_hex(4)}")  # others may write it, too
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(place)
    finally:
        fresh.unlink(missing_ok=True)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
