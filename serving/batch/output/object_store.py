"""Outputs in object stores of pyarrow and fsspec, configured by the usual environment variables."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Self

import pyarrow as pa
from pyarrow import fs

from cloche.object_stores import explain
from cloche.serving.batch.input import sources
from cloche.serving.batch.job.silence_notice import awaiting
from cloche.serving.errors import RESUME, JobFailed, SettingsError

_UPLOADS = 8  # in parallel, because an upload mostly waits for the network


class Store:
    """A folder in an object store; see `cloche.serving.batch.output.location.Folder`.

    A file appears when its upload ends. A directory cannot appear in one step, so the files that
    mark it as complete are uploaded last.
    """

    shared = True

    def __init__(self, system: fs.FileSystem, path: str, uri: str) -> None:
        self._system, self._path, self._uri = system, path, uri

    @classmethod
    def of(cls, uri: str) -> tuple[Self, str]:
        """Return the parent folder of an output, and the name of the output in it.

        Raises:
            SettingsError: The store is unknown, or the URI names a whole bucket.
            JobFailed: The store does not answer.
        """
        given = uri.partition("?")[0].rstrip("/")
        try:
            system, path = sources.store(uri)
        except OSError as error:
            raise JobFailed(_explained(given, error)) from error
        folder, _, name = path.rstrip("/").rpartition("/")
        if not folder or not name:
            raise SettingsError(f"{uri}: name a file or a folder in the bucket, like {given}/out/.")
        return cls(system, folder, given.rpartition("/")[0]), name

    def shown(self, name: str) -> str:
        """See `Folder.shown`."""
        return f"{self._uri}/{name}"

    def work(self, name: str, cache: Path) -> Path:
        """See `Folder.work`. It lies in the cache directory, because a store cannot hold it."""
        key = hashlib.sha256(self.shown(name).encode()).hexdigest()[:16]
        return cache.absolute() / "jobs" / f"{key}-{name}"

    def occupied(self, name: str) -> bool:
        """See `Folder.occupied`."""
        with self._explaining(name):
            return bool(self._files(name))

    def sizes(self, names: list[str]) -> list[int | None]:
        """See `Folder.sizes`."""
        if not names:
            return []
        with self._explaining(names[0]):
            found = self._system.get_file_info([self._at(name) for name in names])
        return [info.size if info.is_file else None for info in found]

    def read(self, name: str) -> bytes | None:
        """See `Folder.read`."""
        with self._explaining(name):
            if not self._system.get_file_info(self._at(name)).is_file:
                return None
            with self._system.open_input_stream(self._at(name)) as stream:
                content: bytes = stream.read()
                return content

    def write(self, name: str, content: bytes) -> None:
        """See `Folder.write`."""
        with NamedTemporaryFile() as fresh:
            fresh.write(content)
            fresh.flush()
            self.put(Path(fresh.name), name)

    def put(self, fresh: Path, name: str) -> None:
        """See `Folder.put`."""
        path, size = self._at(name), fresh.stat().st_size
        with self._explaining(name), awaiting(f"the upload of {self.shown(name)}"):
            try:
                # A single call that nothing can interrupt, because an Arrow stream that is closed
                # by an exception publishes the incomplete file.
                fs.copy_files(
                    str(fresh), path, source_filesystem=fs.LocalFileSystem(),
                    destination_filesystem=self._system, use_threads=False,
                )  # fmt: skip
                self._measure(path, size)
            except OSError:
                with suppress(OSError):
                    self._system.delete_file(path)
                raise

    def put_directory(
        self, fresh: Path, name: str, last: tuple[str, ...], sure: Callable[[], None]
    ) -> None:
        """See `Folder.put_directory`."""
        for one in reversed(last):  # so that nobody takes it for complete
            self.remove(f"{name}/{one}")
        names = sorted(place.name for place in fresh.iterdir())
        first = [one for one in names if one not in last]
        with self._explaining(name):
            base = self._at(name)
            kept = {f"{base}/{one}" for one in first}
            stale = [path for path in self._files(name) if path not in kept]
        self._each(lambda path: self._delete(name, path), stale)
        self._each(lambda one: self.put(fresh / one, f"{name}/{one}"), first)
        for one in last:
            sure()
            self.put(fresh / one, f"{name}/{one}")

    def remove(self, name: str) -> None:
        """See `Folder.remove`."""
        self._delete(name, self._at(name))

    def _measure(self, path: str, size: int) -> None:
        if (arrived := self._system.get_file_info(path).size) != size:
            raise OSError(f"{arrived} of {size} bytes arrived")

    def _delete(self, name: str, path: str) -> None:
        with self._explaining(name), suppress(FileNotFoundError):
            if self._system.get_file_info(path).is_file:
                self._system.delete_file(path)

    def _each(self, do: Callable[[str], None], names: Iterable[str]) -> None:
        with ThreadPoolExecutor(_UPLOADS) as threads:
            list(threads.map(do, names))

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _files(self, name: str) -> list[str]:
        """Return the paths of the objects under a name."""
        info = self._system.get_file_info(self._at(name))
        if info.type != fs.FileType.Directory:
            return [info.path] if info.is_file else []
        inside = self._system.get_file_info(fs.FileSelector(info.path, recursive=True))
        return [one.path for one in inside if one.is_file]

    @contextmanager
    def _explaining(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise JobFailed(_explained(self.shown(name), error)) from error


def _explained(name: str, error: Exception) -> str:
    return f"{explain(name, error)} {RESUME}"
