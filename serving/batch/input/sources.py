"""Where the input lies: paths, globs, directories with partitions, object stores.

It finds files, opens them and tells one state of a file from another; it reads no tables.
"""

import gzip
import hashlib
import lzma
import os
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from cloche.serving.batch.input.csv_options import PLAIN, CsvOptions, Form
from cloche.serving.batch.input.file_kinds import other_kind
from cloche.serving.batch.job.silence_notice import during
from cloche.serving.errors import JobFailed, SettingsError
from cloche.values import compressed_streams

_FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv",
    ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
}  # fmt: skip
_PACKED: dict[str, Callable[[Any], Any]] = {
    ".gz": gzip.open,
    **{
        suffix: partial(compressed_streams.unpacked, suffix=suffix)
        for suffix in compressed_streams.SUFFIXES
    },
    ".zst": lambda raw: pa.CompressedInputStream(raw, "zstd"),
}
_MAGIC = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the input.

    Attributes:
        name: Its path or URI.
        format: How its rows are written.
        size: In bytes.
        fingerprint: Changes when the file changes.
        local: Whether it can be read by byte ranges at no cost.
        packed: The suffix of its compression, or nothing.
        constants: Columns that directories like `date=2013-11-01` give.
        reading: By what options a CSV file is read.
    """

    name: str
    format: str
    size: int
    fingerprint: str
    local: bool
    packed: str = ""
    constants: dict[str, str] = field(default_factory=dict)
    reading: CsvOptions = PLAIN

    @property
    def form(self) -> Form:
        """What divides the records of a CSV file."""
        return self.reading.form(self.name)

    @property
    def recoded(self) -> bool:
        """Whether it is text in another encoding than UTF-8."""
        return self.format == "csv" and bool(self.reading.encoding)


def find(source: str, given_format: str | None = None) -> list[InputFile]:
    """The files behind a path, glob, directory or URI, in the order of their names.

    Raises:
        SettingsError: Nobody knows their format.
        JobFailed: There are none yet, or the store cannot be asked.
    """
    system, path = filesystem(source)
    try:
        found = _listed(system, path)
    except OSError as error:
        raise JobFailed(f"{source}: {error}") from error
    usable = [info for info in found if given_format or _format_of(info.path)[0]]
    if not found:
        raise JobFailed(f"{source}: nothing is there, or not yet. Score it again when it has come.")
    if not usable:
        kind = ""
        with (
            suppress(OSError),  # it may not be read: what is known of its name is told
            system.open_input_stream(found[0].path, compression=None) as file,
        ):
            kind = other_kind(file.read(1 << 12))
        raise SettingsError(
            f"{source}: no file to score is there; there is {found[0].path}"
            + (f", which is {kind}" if kind else
               f". Known are names that end in {', '.join(_FORMATS)}; for others give "
               "--input-format csv or another")
        )  # fmt: skip
    local = isinstance(system, fs.LocalFileSystem)
    prefix = "" if local else source.partition("://")[0] + "://"
    return [_described(info, path, prefix, given_format, local=local) for info in usable]


def filesystem(source: str) -> tuple[fs.FileSystem, str]:
    """The store that a path or URI lies in, and its path there.

    Raises:
        SettingsError: Nobody knows such a store.
    """
    if "://" not in source:
        return fs.LocalFileSystem(), str(Path(source).expanduser().absolute())
    scheme, _, rest = source.partition("://")
    if _MAGIC & set(rest):  # not allowed in a URI that is parsed
        with suppress(pa.ArrowInvalid, ValueError):
            system, _ = fs.FileSystem.from_uri(f"{scheme}://{rest.partition('/')[0]}")
            return system, rest
    return store(source)


def store(uri: str) -> tuple[fs.FileSystem, str]:
    """The same for a URI that is no glob, so that it may end in options, as `?region=eu-west-1`.

    Raises:
        SettingsError: Nobody knows such a store.
    """
    try:
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, ValueError):
        return _fsspec(uri)
    return found


def _fsspec(source: str) -> tuple[fs.FileSystem, str]:
    try:
        import fsspec  # noqa: PLC0415  # only for stores that Arrow does not know

        system, path = fsspec.core.url_to_fs(source)
    except ImportError as error:
        needed = f"{error.name}: pip install {error.name}" if error.name else error
        raise SettingsError(f"{source}: this store needs {needed}") from error
    except ValueError as error:
        raise SettingsError(f"{source}: {error}") from error
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


def fetched(name: str, folder: Path, state: str = "") -> str:
    """The path of a copy of a file, made once in a folder that all who need it see.

    Args:
        name: The path or URI of the file.
        folder: Where copies lie.
        state: Tells this state of the file from another.

    Raises:
        JobFailed: It cannot be copied.
    """
    place = folder / hashlib.sha256(f"{name} {state}".encode()).hexdigest()[:32]
    if not place.exists():
        coming = place.with_suffix(f".{uuid.uuid4().hex}")  # others may be copying the same file
        try:
            with during(name), opened(name) as source, coming.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            coming.replace(place)
        except OSError as error:
            raise JobFailed(f"{name}: cannot be copied to {place}: {error}") from error
        finally:
            coming.unlink(missing_ok=True)  # half a copy, on a disk that may be full
    return str(place)


@contextmanager
def opened(name: str) -> Iterator[Any]:
    """A file for random access, as Arrow's readers take it.

    Raises:
        JobFailed: It cannot be read.
    """
    system, path = filesystem(name)
    try:
        file = system.open_input_file(path)
    except OSError as error:
        raise JobFailed(f"{name}: cannot be read: {error}") from error
    with file:
        yield file


@contextmanager
def streamed(file: InputFile) -> Iterator[Any]:
    """The unpacked bytes of a file from its start, in UTF-8 if it is CSV.

    Raises:
        JobFailed: It cannot be read.
    """
    system, path = filesystem(file.name)
    if file.packed and not file.size:
        raise JobFailed(f"{file.name}: cannot be read: it is empty, which no compressed file is")
    try:
        with system.open_input_stream(path, compression=None) as raw:
            if file.packed:
                with _PACKED[file.packed](raw) as unpacked:
                    yield file.reading.decoded(unpacked) if file.recoded else unpacked
            else:
                yield file.reading.decoded(raw) if file.recoded else raw
    except UnicodeError as error:
        raise JobFailed(
            f"{file.name}: is not written in {file.reading.encoding}: {error.reason}. Say in what "
            "by --options '{encoding: NAME}'."
            if isinstance(error, UnicodeDecodeError)
            else f"{file.name}: {error}"
        ) from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise JobFailed(f"{file.name}: cannot be read: {error}") from error


def _listed(system: fs.FileSystem, path: str) -> list[fs.FileInfo]:
    if _MAGIC & set(path) and system.get_file_info(path).type == fs.FileType.NotFound:
        folder = path[: min(path.find(one) for one in _MAGIC if one in path)].rpartition("/")[0]
        inside = system.get_file_info(
            fs.FileSelector(folder or "/", recursive=True, allow_not_found=True)
        )
        found = [info for info in inside if matches(info.path, path)]
    else:
        info = system.get_file_info(path)
        if info.type == fs.FileType.Directory:
            inside = system.get_file_info(fs.FileSelector(path, recursive=True))
            found = [one for one in inside if not _hidden(one.path, path)]
        else:
            found = [info]
    return sorted((one for one in found if one.is_file), key=lambda one: one.path)


def opened_file(stream: Any) -> list[str]:
    """The name of the file that a stream comes from or goes to; none for pipes and terminals."""
    try:
        path = os.path.realpath(f"/dev/fd/{stream.fileno()}")
    except (AttributeError, OSError):
        return []
    return [path] if Path(path).is_file() else []


def matches(path: str, pattern: str) -> bool:
    """Whether a path matches; `*` stays within a folder, `**` goes through folders."""
    return _match_parts(path.strip("/").split("/"), pattern.strip("/").split("/"))


def _match_parts(parts: list[str], patterns: list[str]) -> bool:
    from fnmatch import fnmatchcase  # noqa: PLC0415  # small, and only for globs

    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_match_parts(parts[skip:], patterns[1:]) for skip in range(len(parts) + 1))
    return (
        bool(parts) and fnmatchcase(parts[0], patterns[0]) and _match_parts(parts[1:], patterns[1:])
    )


def _hidden(path: str, folder: str) -> bool:
    """Whether it is the bookkeeping of another program."""
    return any(part.startswith((".", "_")) for part in path.removeprefix(folder).split("/"))


def _format_of(path: str) -> tuple[str | None, str]:
    name = Path(path.lower())
    packed = name.suffix if name.suffix in _PACKED else ""
    return _FORMATS.get(name.with_suffix("").suffix if packed else name.suffix), packed


def _described(
    info: fs.FileInfo, root: str, prefix: str, given_format: str | None, *, local: bool
) -> InputFile:
    format_found, packed = _format_of(info.path)
    name = info.path if local else prefix + info.path
    state = f"{info.size} {info.mtime_ns}"
    return InputFile(
        name=name,
        format=given_format or format_found or "",
        size=info.size,
        fingerprint=hashlib.sha256(state.encode()).hexdigest()[:32],
        local=local,
        packed=packed,
        constants=_partition(info.path, root),
    )


def _partition(path: str, root: str) -> dict[str, str]:
    """Columns in the names of directories below what was asked for, as Hive writes them."""
    folder = root[: min((root.find(one) for one in _MAGIC if one in root), default=len(root))]
    below = path.removeprefix(folder.rpartition("/")[0] if folder != root else root)
    found = (part.partition("=") for part in below.split("/")[:-1])
    return {name: unquote(value) for name, equals, value in found if equals}
