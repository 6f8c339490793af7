"""Infers the types that pandas gives the columns of a whole CSV file, without loading all of it.

A model without a signature gets a table as pandas reads it, and pandas types a column by all of its
rows. A part holds only some rows, so types are inferred first, and each part is read with them.
"""

from collections import defaultdict
from typing import Any

import pandas as pd
from pandas._libs.parsers import STR_NA_VALUES  # type: ignore[import-not-found]

from cloche.serving.batch.input.sources import InputFile

# Type names that are no dtypes; `readers.csv` reads them.
VERBATIM, INTEGERS, MIXED = "verbatim", "integers", "mixed"
UNCLEAR = {
    MIXED: "holds values of different types (numbers, words, true and false) in different blocks "
    "of its rows, which pandas leaves side by side, in blocks that no part has",
}
_OBJECTS = {"boolean": "o", "integer": "p"}  # integers of dtype object exceed 64 bits
_BLOCK_CELLS = 1 << 20  # pandas' C parser infers types for blocks of this many cells


def infer(stream: Any, file: InputFile, width: int) -> dict[str, str]:
    """Return column → type for a whole stream; `file` describes the stream.

    Raises:
        ValueError: The stream cannot be read.
    """
    seen, rows = 0, 1
    while rows * 2 < _BLOCK_CELLS // max(width, 1):
        rows *= 2
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for block in pd.read_csv(stream, chunksize=rows, **file.csv_options.whole(file.dialect)):
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
