"""What is said of a refused request: names, shapes and types, which are no values of rows."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from mlflow.types import DataType

_NAMES = 10  # names that a sentence lists; a signature may have thousands
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
        message: A sentence about it.
        columns: The names of the columns that it is about.
        row: The position of the row that it is in, from 0; None where it is in no single row.
        expected: The plain type of the signature that the column has; empty where it has none.
    """

    message: str
    columns: tuple[str, ...] = ()
    row: int | None = None
    expected: str = ""


def wrong_cell(
    name: str, row: int | None, told: str, *, place: str = "", kind: Any = None,
    word: str = "Column",
) -> Mistake:  # fmt: skip
    """The mistake of a cell, or of a whole column where `row` is None.

    Args:
        name: The name of the column; its position where the signature has no names.
        row: The position of the row.
        told: What was expected and what was found.
        place: The place inside of the cell; empty for the cell as a whole.
        kind: The type of the column.
        word: What a column is called in the protocol.
    """
    at = ("" if row is None else f", row {row}") + (f", at {place}" if place else "")
    shown = name if name.isdecimal() else repr(name)
    return Mistake(f"{word} {shown}{at}: {told}.", (name,), row, plain_name(kind))


def expected(kind: Any, found: str) -> str:
    """A sentence about a type of the signature and the kind of value that stands in its place."""
    return f"expected {type_name(kind)}, found {found}"


def type_name(kind: Any) -> str:
    """A type of the signature, as MLflow writes it."""
    return repr(kind).replace("DataType.", "") if not hasattr(kind, "itemsize") else str(kind)


def described(value: Any, kind: Any = None) -> str:
    """The kind of a value, without the value.

    Args:
        value: It came in JSON, in CSV or in a table.
        kind: The type of the signature that it should have.
    """
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
    """The name of a plain type of a signature; empty for other types."""
    return kind.name if isinstance(kind, DataType) else ""


def listed(names: Sequence[Any]) -> str:
    """Names in quotes, the first few of many."""
    shown = ", ".join(repr(str(name)) for name in names[:_NAMES])
    more = len(names) - _NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def columns_of(names: Sequence[Any]) -> str:
    """`column` or `columns`, and the names."""
    return f"column{'' if len(names) == 1 else 's'} {listed(names)}"
