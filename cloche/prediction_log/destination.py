"""The destination of a prediction log: a folder, or a place in an object store.

Stores are configured by their usual environment variables, as for batch jobs.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa
from pyarrow import fs

# Words in errors of stores → advice. Arrow passes on the store's message without an error code.
_FIXES = {
    ("NO_SUCH_BUCKET", "NoSuchBucket", "ContainerNotFound", "bucket does not exist"): (
        "Make the bucket first, or correct its name."
    ),
    ("configured region", "PermanentRedirect", "status 301"): (
        "Set AWS_REGION to the region of the bucket."
    ),
    ("ACCESS_DENIED", "Forbidden", "PERMISSION_DENIED", "AuthorizationFailure", "status 403",
     "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "UNAUTHENTICATED", "status 401"): (
        "The store's credentials must be allowed to list the bucket, and to get, put and delete "
        "objects there."
    ),
    ("NETWORK_CONNECTION", "UNAVAILABLE", "Could not connect", "curlCode"): (
        "The store cannot be reached; for one that is not the cloud's own, AWS_ENDPOINT_URL names "
        "it."
    ),
}  # fmt: skip


class DestinationFailed(Exception):
    """The destination does not answer, refuses, or holds something unreadable."""


class DestinationUnknown(ValueError):
    """The text that should name a destination names none that can be used here."""


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
            DestinationUnknown: The kind of store is unknown, or its library is not installed.
            DestinationFailed: The store does not answer.
        """
        if "://" not in uri:
            path = str(Path(uri).expanduser().absolute())
            return cls(path, fs.LocalFileSystem(), path)
        try:
            return cls(uri, *_store(uri))
        except OSError as error:
            raise DestinationFailed(_explained(uri.partition("?")[0], error)) from error

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
            raise DestinationFailed(_explained(self.shown(path), error)) from error


def _store(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, ValueError):
        return _fsspec(uri)
    return found


def _fsspec(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        import fsspec  # noqa: PLC0415  # needed only for stores that Arrow lacks

        system, path = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        needed = f"{error.name}: pip install {error.name}" if error.name else error
        raise DestinationUnknown(f"{uri}: this store needs {needed}") from error
    except ValueError as error:
        raise DestinationUnknown(f"{uri}: {error}") from error
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


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


def _explained(name: str, error: Exception) -> str:
    message = str(error).partition(" (Request ID")[0].rstrip(".")
    advice = [_FIXES[words] for words in _FIXES if any(word in message for word in words)]
    return " ".join([f"{name}: {message}.", *advice[:1]])
