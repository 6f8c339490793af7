"""A DuckDB session within bounds of memory and threads, and views of Parquet files in it."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from cloche.prediction_log.destination import Destination
from cloche.prediction_log.errors import LogError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "700MB"  # with Python and Arrow a process stays below 1 GB
_DOWNLOADS = 8
_BATCH = 500  # files named in one statement: a longer one takes DuckDB's parser long


@contextmanager
def session(memory: str = MEMORY, threads: int = 0) -> "Iterator[DuckDBPyConnection]":
    """Yield a connection to a database in memory, which goes to a temporary folder when it grows.

    Args:
        memory: Most memory that DuckDB takes, like `1GB`.
        threads: Most threads; 0 for one for each core, at most 4.

    Raises:
        LogError: DuckDB is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415 (an extra, and slow)
    except ModuleNotFoundError:
        raise LogError(
            "reading the prediction log needs DuckDB; run: pip install 'cloche[monitor]'"
        ) from None
    with TemporaryDirectory(prefix="cloche-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory,
            "threads": threads or min(4, len(os.sched_getaffinity(0))),
            "temp_directory": folder,
            "preserve_insertion_order": False,  # a sort is asked for where an order matters
            "TimeZone": "UTC",
            "autoinstall_known_extensions": False,  # a command fetches nothing by itself
        }
        connection = duckdb.connect(config=config)
        try:
            yield connection
        finally:
            connection.close()


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def create_view(
    connection: "DuckDBPyConnection", name: str, files: Sequence[Path], empty: pa.Schema
) -> list[str]:
    """Create a view of all rows of some Parquet files, with the union of their columns by name.

    A column whose types differ between files is numeric if all of its types are, and text
    otherwise.

    Args:
        connection: The session.
        name: Name of the view.
        files: The files, which may be none.
        empty: The columns that the view has even if no file has them.

    Returns:
        Names of the view's columns.
    """
    by_schema: dict[tuple[tuple[str, Any], ...], list[Path]] = {}
    for file in files:
        columns = tuple((field.name, _stored(field.type)) for field in pq.read_schema(file))
        by_schema.setdefault(columns, []).append(file)
    kinds: dict[str, set[Any]] = {}
    for column, kind in chain(((f.name, f.type) for f in empty), *by_schema):
        kinds.setdefault(column, set()).update(() if pa.types.is_null(kind) else (kind,))
    texts = {column for column, found in kinds.items() if not _have_common_type(found)}
    connection.register(f"{name}_empty", empty.empty_table())
    parts = [f"SELECT * FROM {name}_empty"]
    for columns, same in by_schema.items():
        casts = [
            f"{'NULL' if pa.types.is_null(kind) else quoted(c) + '::VARCHAR'} AS {quoted(c)}"
            for c, kind in columns
            if c in texts or pa.types.is_null(kind)
        ]
        replaced = f" REPLACE ({', '.join(casts)})" if casts else ""
        parts += [
            f"SELECT *{replaced} FROM "
            f"read_parquet([{', '.join(literal(str(f)) for f in same[at : at + _BATCH])}], "
            "hive_partitioning=false)"
            for at in range(0, len(same), _BATCH)
        ]
    connection.execute(f"CREATE VIEW {name} AS {' UNION ALL BY NAME '.join(parts)}")
    return list(kinds)


def _stored(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _have_common_type(kinds: set[Any]) -> bool:
    return len(kinds) < 2 or all(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        for kind in kinds
    )


@contextmanager
def local_files(destination: Destination) -> Iterator[Callable[[Sequence[str]], list[Path]]]:
    """Yield a function that gives a destination's files as local ones: copies, or the files.

    DuckDB would have to download an extension for each kind of store.
    """
    with TemporaryDirectory(prefix="cloche-") as folder:

        def local(names: Sequence[str]) -> list[Path]:
            if isinstance(destination.filesystem, fs.LocalFileSystem):
                return [Path(destination.at(name)) for name in names]
            with ThreadPoolExecutor(_DOWNLOADS) as pool:
                return [copy for copy in pool.map(fetch, names) if copy is not None]

        def fetch(name: str) -> Path | None:
            content = destination.read(name)
            if content is None:  # removed since it was listed
                return None
            copy = Path(folder, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            return copy

        yield local
