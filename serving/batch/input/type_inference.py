"""Infers the types that pandas gives the columns of a whole file, without loading the whole file.

A model without a signature gets a table as pandas reads it, and pandas types a column by all of its
rows. A part holds only some rows, so types are inferred first, and each part is read with them.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas._libs.parsers import STR_NA_VALUES  # type: ignore[import-not-found]

from cloche.serving.batch.input.categories import Categories
from cloche.serving.batch.input.readers.jsonlines import parsed
from cloche.serving.batch.input.sources import InputFile, opened, streamed
from cloche.serving.errors import JobFailed

# Type names that are no dtypes; `readers.csv` reads them, and `readers.columnar` dictionaries.
VERBATIM, INTEGERS = "verbatim", "integers"
MIXED, DICTIONARY = "mixed", "dictionary"
UNCLEAR = {
    MIXED: "holds values of different types (numbers, words, true and false) in different blocks "
    "of its rows, which pandas leaves side by side, in blocks that no part has",
}
_OBJECTS = {"boolean": "o", "integer": "p"}  # integers of dtype object exceed 64 bits
_BLOCK_CELLS = 1 << 20  # pandas' C parser infers types for blocks of this many cells


def file_types(file: InputFile, width: int) -> dict[str, str]:
    """Return column → type in the whole file; for columnar files if a part may show another.

    Raises:
        JobFailed: The file cannot be read.
    """
    try:
        if file.format in ("csv", "jsonl"):
            with streamed(file) as stream:
                return text_types(stream, file, width)
        with opened(file.name) as source:
            return _parquet_types(source) if file.format == "parquet" else _arrow_types(source)
    except (ValueError, pa.ArrowException) as error:
        raise JobFailed(f"{file.name}: cannot be read as {file.format}: {error}") from error


def text_types(stream: Any, file: InputFile, width: int) -> dict[str, str]:
    """Return column → type for a whole text stream; `file` describes the stream."""
    return _csv_types(stream, file, width) if file.format == "csv" else _json_types(stream)


def _csv_types(stream: Any, file: InputFile, width: int) -> dict[str, str]:
    seen, rows = 0, 1
    while rows * 2 < _BLOCK_CELLS // max(width, 1):
        rows *= 2
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for block in pd.read_csv(stream, chunksize=rows, **file.reading.whole(file.form)):
        if not block.index.equals(pd.RangeIndex(seen, seen + len(block))):
            raise ValueError(  # the callers turn it into a JobFailed
                "its rows have more fields than its header, so that pandas, and MLflow with it, "
                "takes the first fields for names of rows; give every field a name"
            )
        seen += len(block)
        for name, values in block.items():
            if len(values):
                kinds[str(name)].add(_kind(values))
    return {name: _together(found) for name, found in kinds.items()}


def _kind(values: pd.Series) -> str:
    """Return a letter for the type that pandas inferred for a block of a column."""
    if values.dtype.kind in "iub":
        return values.dtype.kind
    if values.dtype.kind == "f":
        return "f" if values.notna().any() else "n"  # "n": all cells are missing
    if values.dtype == object:
        inferred = pd.api.types.infer_dtype(values, skipna=True)
        if inferred in _OBJECTS:
            return _OBJECTS[inferred]
    if values.hasnans:
        return "g"
    # In a column with numbers that need uint64, pandas leaves empty cells and words like NA as is.
    return "v" if values.isin(STR_NA_VALUES).any() else "t"


def _together(kinds: set[str]) -> str:
    """Return the type that pandas gives a column whose blocks have these kinds."""
    if kinds <= set("niuf"):
        if {"i", "u"} <= kinds:
            return MIXED
        return {"i": "int64", "u": "uint64"}.get("".join(kinds), "float64")
    for those, name in (
        ("b", "bool"), ("bon", "object"), ("tgn", "str"), ("tv", VERBATIM),
        ("piun", INTEGERS),
    ):  # fmt: skip
        if kinds <= set(those):
            return name
    return MIXED


def _json_types(stream: Any) -> dict[str, str]:
    rows = 0
    counts: defaultdict[str, int] = defaultdict(int)
    samples: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for line in _lines(stream):
        row = parsed(line)  # a line that is no object is refused later
        if isinstance(row, dict):
            rows += 1
            for name, cell in row.items():
                counts[name] += 1
                samples[name].setdefault(_sort(cell), cell)
    return {
        name: str(
            pd.DataFrame([{name: cell} for cell in found.values()] + [{}] * (counts[name] < rows))[
                name
            ].dtype
        )
        for name, found in samples.items()
    }


def _sort(cell: Any) -> str:
    """Return the kind of a cell that decides its column's type; for integers also their size."""
    if type(cell) is not int:
        return type(cell).__name__
    bits = (~cell if cell < 0 else cell).bit_length()
    return f"{'-' * (cell < 0)}{max((most for most in (63, 64) if bits > most), default=0)}"


def _lines(stream: Any) -> Iterator[bytes]:
    waiting = b""
    while more := stream.read(1 << 20):
        *lines, waiting = (waiting + more).split(b"\n")
        yield from lines
    yield waiting


def _parquet_types(source: Any) -> dict[str, str]:
    file = pq.ParquetFile(source)
    groups = [file.metadata.row_group(at) for at in range(file.metadata.num_row_groups)]
    leaves = {file.schema.column(at).path: at for at in range(len(file.schema))}

    def gaps(name: str) -> bool:
        stored = [group.column(leaves[name]).statistics for group in groups]
        if all(one is not None and one.has_null_count for one in stored):
            return any(one.null_count for one in stored)
        batches = file.iter_batches(columns=[name])
        return any(batch.column(0).null_count for batch in batches)

    return _schema_types(file.schema_arrow, gaps)


def _arrow_types(source: Any) -> dict[str, str]:
    reader = pa.ipc.open_file(source)
    batches = range(reader.num_record_batches)
    return _schema_types(
        reader.schema,
        lambda name: any(reader.get_batch(at).column(name).null_count for at in batches),
    )


def stream_types(reader: Any, categories: Categories) -> dict[str, str]:
    """Return column → type for an Arrow stream, for columns whose parts may get another type."""
    gaps: set[str] = set()
    for batch in reader:
        categories.see(batch)
        gaps |= {
            name
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
            if column.null_count
        }
    return _schema_types(reader.schema, gaps.__contains__)


def _schema_types(schema: pa.Schema, gaps: Any) -> dict[str, str]:
    """Return the dtypes of dictionaries, and of columns that missing values anywhere change."""
    full = schema.empty_table().to_pandas().dtypes
    gappy = pa.table([pa.nulls(1, kind) for kind in schema.types], schema=schema).to_pandas().dtypes
    encoded = {field.name for field in schema if pa.types.is_dictionary(field.type)}
    changed = {str(name): str(gappy[name]) for name in full.index if full[name] != gappy[name]}
    return {name: DICTIONARY for name in encoded if name in full.index} | {
        name: kind for name, kind in changed.items() if gaps(name)
    }
