"""Compaction: many small files of a model, version and day become one.

A compacted file names the files that it replaces, also those that they had replaced. Readers leave
out what is replaced, so it does not matter when the small files go, or whether one comes back.
"""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from cloche.prediction_log import layout
from cloche.prediction_log.columns import COLUMNS, MODEL_KEY, VERSION_KEY
from cloche.prediction_log.destination import Destination, File
from cloche.prediction_log.files import prediction_files, replaced_files
from cloche.prediction_log.maintenance.lock import exclusive
from cloche.prediction_log.parquet import parquet

_MOST_ROWS = 1_000_000  # of one file, which is in memory whole


def compact(destination: Destination, models: list[str], before: date) -> tuple[int, int]:
    """Compact the days (UTC) before one; return the numbers of files before and after.

    Raises:
        LogError: Somebody else rewrites files of this log.
        DestinationFailed: The destination does not answer.
    """
    replaced = written = 0
    with exclusive(destination):
        for model in models:
            remove_replaced(destination, model)
            groups: dict[tuple[date, str], list[File]] = defaultdict(list)
            for file in prediction_files(destination, model):
                day = layout.day_of(file.path)
                if day is not None and day < before:
                    groups[day, layout.version_of(file.path)].append(file)
            for (day, version), files in sorted(groups.items()):
                for part in _parts(destination, [file.path for file in files]):
                    _compact(destination, model, day, version, part)
                    replaced, written = replaced + len(part), written + 1
    return replaced, written


def remove_replaced(destination: Destination, model: str) -> None:
    """Remove the files that a compaction had replaced when it was killed."""
    kept = {file.path for file in prediction_files(destination, model)}
    for file in destination.files(layout.model_folder(model), suffix=".parquet"):
        if file.path not in kept and layout.day_of(file.path) is not None:
            destination.remove(file.path)


def _parts(destination: Destination, paths: list[str]) -> Iterator[dict[str, pa.Table]]:
    """Iterate over files that become one each: their columns have the same types, and they fit."""
    parts: list[tuple[dict[str, pa.DataType], dict[str, pa.Table]]] = []
    for path in paths:
        table = read_file(destination, path)
        if len(table) >= _MOST_ROWS:
            continue
        for types, tables in parts:
            fits = all(types.get(one.name, one.type) == one.type for one in table.schema)
            if fits and sum(map(len, tables.values())) + len(table) <= _MOST_ROWS:
                break
        else:
            types, tables = {}, {}
            parts.append((types, tables))
            if len(parts) > 2:  # so that few tables are in memory
                _, ready = parts.pop(0)
                if len(ready) > 1:
                    yield ready
        types.update({one.name: one.type for one in table.schema})
        tables[path] = table
    for _, tables in parts:
        if len(tables) > 1:
            yield tables


def _compact(
    destination: Destination, model: str, day: date, version: str, tables: dict[str, pa.Table]
) -> None:
    table = pa.concat_tables(tables.values(), promote_options="default")
    table = table.sort_by(
        [("received_at", "ascending"), ("segment", "ascending"), ("place", "ascending")]
    )
    replaces = set(tables)
    for path in tables:
        if layout.is_compacted(path):
            replaces |= set(replaced_files(destination, path))
    key = hashlib.sha256("\n".join(sorted(replaces)).encode()).hexdigest()[:16]
    content = parquet(table, {MODEL_KEY: model, VERSION_KEY: version}, sorted(replaces))
    destination.put(layout.compacted_file(model, day, version, key), content)
    for path in tables:
        destination.remove(path)


def read_file(destination: Destination, path: str) -> pa.Table:
    """Read a file of predictions, with the types of `COLUMNS`, and its metadata."""
    table = pq.read_table(io.BytesIO(destination.read(path) or b""))
    schema = pa.schema(
        [COLUMNS.field(one.name) if one.name in COLUMNS.names else one for one in table.schema],
        table.schema.metadata,
    )
    return table.cast(schema)
