"""Messages about refused requests, which contain names, shapes and types but no values of rows."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from mlflow.types import DataType

_NAMES = 10  # maximum number of names in a message; a signature may have thousands
_BITS = {"integer": 32, "long": 64}
_WORDS: dict[type, str] = {
    bool: "a truth value",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
    bytes: "bytes",
}


class Mistake(NamedTuple):
    """The first mistake that was found in a request.

    Attributes:
        message: A sentence about the mistake.
        columns: The names of the columns that the mistake is about.
        row: The position of the row with the mistake, from 0; None if it is in no single row.
        expected: The plain type of the column in the signature; empty if it has none.
    """

    message: str
    columns: tuple[str, ...] = ()
    row: int | None = None
    expected: str = ""


def wrong_cell(
    name: str, row: int | None, problem: str, *, place: str = "", kind: Any = None,
    word: str = "Column",
) -> Mistake:  # fmt: skip
    """Create the mistake of a cell, or of a whole column if `row` is None.

    Args:
        name: The name of the column; its position if the signature has no names.
        row: The position of the row, from 0.
        problem: The expected type and the kind of value that was found.
        place: The position inside the cell; empty for the cell as a whole.
        kind: The type of the column.
        word: The protocol's word for a column.
    """
    at = ("" if row is None else f", row {row}") + (f", at {place}" if place else "")
    shown = name if name.isdecimal() else repr(name)
    return Mistake(f"{word} {shown}{at}: {problem}.", (name,), row, plain_name(kind))


def describe_mismatch(kind: Any, found: str) -> str:
    """Describe the signature's type and the kind of value that was found instead."""
    return f"expected {type_name(kind)}, found {found}"


def type_name(kind: Any) -> str:
    """Return the name of a type of the signature, as MLflow writes it."""
    return repr(kind).replace("DataType.", "") if not hasattr(kind, "itemsize") else str(kind)


def describe_kind(value: Any, kind: Any = None) -> str:
    """Describe the kind of a value, without the value."""
    if value is None or value is pd.NA or value is pd.NaT:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "an infinite number"
    if isinstance(value, int) and not isinstance(value, bool) and plain_name(kind) in _BITS:
        return f"a whole number beyond {_BITS[plain_name(kind)]} bits"
    if isinstance(value, (str, list, dict)) and not value:
        return "an empty " + ("text" if value == "" else "list" if value == [] else "object")
    if isinstance(value, str) and kind is DataType.binary:
        return "text that is not base64"
    return _WORDS.get(type(value), type(value).__name__)


def plain_name(kind: Any) -> str:
    """Return the name of a plain type of a signature; empty for other types."""
    return kind.name if isinstance(kind, DataType) else ""


def quote_names(names: Sequence[Any]) -> str:
    """Format names in quotes, of many names only the first ones."""
    shown = ", ".join(repr(str(name)) for name in names[:_NAMES])
    more = len(names) - _NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def quote_columns(names: Sequence[Any]) -> str:
    """Format the word `column` or `columns` and the names."""
    return f"column{'' if len(names) == 1 else 's'} {quote_names(names)}"
