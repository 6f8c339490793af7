"""Input tables of any size for the model `twelve`, made once and kept."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

_GROUP = 1 << 18
_WORDS = ["alpha", "beta", "gamma", "delta"]


def table(rows: int, kind: str, folder: Path) -> Path:
    """Return the path of a table, and make the table if it does not exist.

    Args:
        rows: The number of rows.
        kind: The format, `parquet` or `csv`.
        folder: The folder in which tables are kept.
    """
    place = folder / f"{rows}.{kind}"
    if place.exists():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    fresh = place.with_suffix(f".{kind}.fresh")
    pieces = groups(rows)
    first = next(pieces)
    writers = {"parquet": pq.ParquetWriter, "csv": csv.CSVWriter}
    with writers[kind](str(fresh), first.schema) as writer:
        writer.write_table(first)
        for piece in pieces:
            writer.write_table(piece)
    return fresh.rename(place)


def groups(rows: int) -> Iterator[pa.Table]:
    """Generate rows with an id, 8 numbers and 4 categories, in chunks; always the same rows."""
    random = np.random.default_rng(1)
    for start in range(0, rows, _GROUP):
        count = min(_GROUP, rows - start)
        columns: dict[str, pa.Array] = {"id": pa.array(np.arange(start, start + count))}
        columns |= {f"n{i}": pa.array(random.normal(size=count)) for i in range(8)}
        for i in range(4):
            codes = pa.array(random.integers(0, len(_WORDS), count).astype(np.int32))
            columns[f"c{i}"] = pa.array(_WORDS).take(codes)
        yield pa.table(columns)
