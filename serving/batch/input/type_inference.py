"""The types that pandas gives the columns of a whole file, found without holding the file.

A model without a signature sees a table as pandas reads it, and pandas judges a column by all of
its rows. A part has only some of them, so the judgement comes first and each part is read by it.
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

# Names of what is no dtype; see `readers.csv`, and for dictionaries `readers.columnar`.
VERBATIM, INTEGERS = "verbatim", "integers"
MIXED, DICTIONARY = "mixed", "dictionary"
UNCLEAR = {
    MIXED: "holds values of different types (numbers, words, true and false) in different blocks "
    "of its rows, which pandas leaves side by side, in blocks that no part has",
}
_OBJECTS = {"boolean": "o", "integer": "p"}  # the latter are too large for any dtype
_BLOCK_CELLS = 1 << 20  # pandas' C parser judges the columns of so many cells at a time


def file_types(file: InputFile, width: int) -> dict[str, str]:
    """How each column of a file is to be read; those of columnar files only where it matters.

    Args:
        file: The file.
        width: How many columns it has.

    Raises:
        JobFailed: It cannot be read.
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
    """How each column of a stream of text is to be read; `file` describes it."""
    return _csv_types(stream, file, width) if file.format == "csv" else _json_types(stream)


def _csv_types(stream: Any, file: InputFile, width: int) -> dict[str, str]:
    seen, rows = 0, 1
    while rows * 2 < _BLOCK_CELLS // max(width, 1):
        rows *= 2
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for block in pd.read_csv(stream, chunksize=rows, **file.reading.whole(file.form)):
        if not block.index.equals(pd.RangeIndex(seen, seen + len(block))):
            raise ValueError(  # of the file, and not of an argument
                "its rows have more fields than its header, so that pandas, and MLflow with it, "
                "takes the first fields for names of rows; give every field a name"
            )
        seen += len(block)
        for name, values in block.items():
            if len(values):
                kinds[str(name)].add(_kind(values))
    return {name: _together(found) for name, found in kinds.items()}


def _kind(values: pd.Series) -> str:
    """What pandas took the cells of a block for, in a letter."""
    if values.dtype.kind in "iub":
        return values.dtype.kind
    if values.dtype.kind == "f":
        return "f" if values.notna().any() else "n"  # nothing but missing cells
    if values.dtype == object:
        inferred = pd.api.types.infer_dtype(values, skipna=True)
        if inferred in _OBJECTS:
            return _OBJECTS[inferred]
    if values.hasnans:
        return "g"
    # Beside whole numbers that only uint64 holds, pandas leaves empty cells and words like NA.
    return "v" if values.isin(STR_NA_VALUES).any() else "t"


def _together(kinds: set[str]) -> str:
    """What pandas makes of blocks of these kinds."""
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
        row = parsed(line)  # what is no object goes into the quarantine
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
    """What decides the type of a column that has this cell; of a whole number, how large it is."""
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
    """How the columns of an Arrow stream are to be read, where it matters.

    Args:
        reader: Of the stream.
        categories: Sees those of all batches.
    """
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
    """What columns with a missing value become also where a part of them has none."""
    full = schema.empty_table().to_pandas().dtypes
    gappy = pa.table([pa.nulls(1, kind) for kind in schema.types], schema=schema).to_pandas().dtypes
    encoded = {field.name for field in schema if pa.types.is_dictionary(field.type)}
    changed = {str(name): str(gappy[name]) for name in full.index if full[name] != gappy[name]}
    return {name: DICTIONARY for name in encoded if name in full.index} | {
        name: kind for name, kind in changed.items() if gaps(name)
    }
