"""Finds, opens and fingerprints input files: paths, globs, partitioned directories, object stores.

This module reads no tables.
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

from cloche.object_stores import StoreUnknown, open_store
from cloche.serving.batch.input.csv_options import PLAIN, CsvOptions, Dialect
from cloche.serving.batch.input.file_kinds import advice_on_content
from cloche.serving.batch.input.formats.catalog import format_of_suffix, input_format, input_formats
from cloche.serving.batch.job.silence_notice import awaiting
from cloche.serving.errors import JobFailed, SettingsError
from cloche.values import compressed_streams

_PACKED: dict[str, Callable[[Any], Any]] = {
    ".gz": gzip.open,
    **{
        suffix: partial(compressed_streams.decompressed, suffix=suffix)
        for suffix in compressed_streams.SUFFIXES
    },
    ".zst": lambda raw: pa.CompressedInputStream(raw, "zstd"),
}
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the input.

    Attributes:
        name: The path or URI.
        format: One of `formats.catalog.INPUT_FORMATS`.
        size: The size in bytes.
        fingerprint: A hash of size and modification time, which changes when the file changes.
        local: Whether the file is on this machine, so that workers can read byte ranges of it.
        packed: The suffix of the compression, like `.gz`; empty for none.
        constants: Columns given by directory names like `date=2013-11-01`.
    """

    name: str
    format: str
    size: int
    fingerprint: str
    local: bool
    packed: str = ""
    constants: dict[str, str] = field(default_factory=dict)
    csv_options: CsvOptions = PLAIN

    @property
    def dialect(self) -> Dialect:
        """The delimiter and quote of a CSV file."""
        return self.csv_options.dialect(self.name)

    @property
    def recoded(self) -> bool:
        """Whether the file is CSV in an encoding other than UTF-8."""
        return input_format(self.format).takes_options and bool(self.csv_options.encoding)


def find(source: str, given_format: str | None = None) -> list[InputFile]:
    """Return the files of a path, glob, directory or URI, ordered by name.

    Raises:
        SettingsError: No file has a known format.
        JobFailed: No file exists, or the store cannot be reached.
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
        advice, ends = "", [end for format_ in input_formats() for end in format_.suffixes]
        with (
            suppress(OSError),  # if the file cannot be read, the message gives only its name
            system.open_input_stream(found[0].path, compression=None) as file,
        ):
            advice = advice_on_content(file.read(1 << 12))
        raise SettingsError(
            f"{source}: no file to score is there; there is {found[0].path}"
            + (f", which is {advice}" if advice else
               f". Known are names that end in {', '.join(ends)}; for others give "
               "--input-format csv or another")
        )  # fmt: skip
    local = isinstance(system, fs.LocalFileSystem)
    prefix = "" if local else source.partition("://")[0] + "://"
    return [_described(info, path, prefix, given_format, local=local) for info in usable]


def filesystem(source: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path, glob or URI, and the path in that file system.

    Raises:
        SettingsError: The kind of store is unknown.
    """
    if "://" not in source:
        return fs.LocalFileSystem(), str(Path(source).expanduser().absolute())
    scheme, _, rest = source.partition("://")
    if _WILDCARDS & set(rest):  # Arrow cannot parse a URI with glob characters
        with suppress(pa.ArrowInvalid, ValueError):
            system, _ = fs.FileSystem.from_uri(f"{scheme}://{rest.partition('/')[0]}")
            return system, rest
    return store(source)


def store(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system and path of a URI without globs, but maybe with `?region=eu-west-1`.

    Raises:
        SettingsError: The kind of store is unknown.
    """
    try:
        return open_store(uri)
    except StoreUnknown as error:
        raise SettingsError(str(error)) from error


def fetched(name: str, folder: Path, state: str = "") -> str:
    """Copy a file into a folder unless a copy exists there, and return the path of the copy.

    Args:
        name: The path or URI of the file.
        folder: The folder of the copies, which several processes may share.
        state: The fingerprint of the file; another state gets another copy.

    Raises:
        JobFailed: The file cannot be copied.
    """
    place = folder / hashlib.sha256(f"{name} {state}".encode()).hexdigest()[:32]
    if not place.exists():
        # others may be copying the same file
        incomplete = place.with_suffix(f".{uuid.uuid4().hex}")
        try:
            with awaiting(name), opened(name) as source, incomplete.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            incomplete.replace(place)
        except OSError as error:
            raise JobFailed(f"{name}: cannot be copied to {place}: {error}") from error
        finally:
            incomplete.unlink(missing_ok=True)  # free the disk of an incomplete copy
    return str(place)


@contextmanager
def opened(name: str) -> Iterator[Any]:
    """Open a file for random access by Arrow's readers.

    Raises:
        JobFailed: The file cannot be read.
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
    """Open a file as a stream of decompressed bytes; CSV is converted to UTF-8.

    Raises:
        JobFailed: The file cannot be read or decoded.
    """
    system, path = filesystem(file.name)
    if file.packed and not file.size:
        raise JobFailed(f"{file.name}: cannot be read: it is empty, which no compressed file is")
    try:
        with system.open_input_stream(path, compression=None) as raw:
            if file.packed:
                with _PACKED[file.packed](raw) as unpacked:
                    yield file.csv_options.decoded(unpacked) if file.recoded else unpacked
            else:
                yield file.csv_options.decoded(raw) if file.recoded else raw
    except UnicodeError as error:
        raise JobFailed(
            f"{file.name}: is not written in {file.csv_options.encoding}: {error.reason}. Say in "
            "what by --options '{encoding: NAME}'."
            if isinstance(error, UnicodeDecodeError)
            else f"{file.name}: {error}"
        ) from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise JobFailed(f"{file.name}: cannot be read: {error}") from error


def _listed(system: fs.FileSystem, path: str) -> list[fs.FileInfo]:
    if _WILDCARDS & set(path) and system.get_file_info(path).type == fs.FileType.NotFound:
        folder = path[: min(path.find(one) for one in _WILDCARDS if one in path)].rpartition("/")[0]
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


def opened_files(stream: Any) -> list[str]:
    """Return the paths of the files behind a stream: one, or none for pipes and terminals."""
    try:
        path = os.path.realpath(f"/dev/fd/{stream.fileno()}")
    except (AttributeError, OSError):
        return []
    return [path] if Path(path).is_file() else []


def matches(path: str, pattern: str) -> bool:
    """Return whether a path matches a glob; `*` stays within a folder, `**` spans folders."""
    return _match_parts(path.strip("/").split("/"), pattern.strip("/").split("/"))


def _match_parts(parts: list[str], patterns: list[str]) -> bool:
    from fnmatch import fnmatchcase  # noqa: PLC0415  # needed only for globs

    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_match_parts(parts[skip:], patterns[1:]) for skip in range(len(parts) + 1))
    return (
        bool(parts) and fnmatchcase(parts[0], patterns[0]) and _match_parts(parts[1:], patterns[1:])
    )


def _hidden(path: str, folder: str) -> bool:
    """Return whether a file is hidden (`.` or `_`), like the bookkeeping of other programs."""
    return any(part.startswith((".", "_")) for part in path.removeprefix(folder).split("/"))


def _format_of(path: str) -> tuple[str | None, str]:
    name = Path(path.lower())
    packed = name.suffix if name.suffix in _PACKED else ""
    suffix = name.with_suffix("").suffix if packed else name.suffix
    return format_of_suffix(suffix), packed


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
    """Return the columns that Hive-style directory names below the requested path give."""
    folder = root[: min((root.find(one) for one in _WILDCARDS if one in root), default=len(root))]
    below = path.removeprefix(folder.rpartition("/")[0] if folder != root else root)
    found = (part.partition("=") for part in below.split("/")[:-1])
    return {name: unquote(value) for name, equals, value in found if equals}
