"""Removes the values of rows from error messages of models and libraries.

MLflow quotes the whole table in its messages, pandas and scikit-learn quote cells, and a model may
write anything. People who are not allowed to see rows read evidence, answers and logs. A message
therefore keeps its type, its first line and the names of columns, but no possible value of a row.
"""

import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

CUT = "…"
_CHARACTERS = 300
_NOTED = "raised in the "
_QUOTES_ROWS = "Failed to predict data"
_WRAPPERS = ("Failed to enforce schema", _QUOTES_ROWS, "Encountered an unexpected")
_QUOTED = re.compile(r"""(?<!\w)[bru]?(['"`])(.*?)(?<!\\)\1(?!\w)""")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w])")


def describe_error(error: BaseException, rows: Any = None, names: Iterable[Any] = ()) -> str:
    """Describe an error in one line, with its type.

    Args:
        error: The error.
        rows: The table, array or record that the error is about; its values are cut from the
            message.
        names: Words that may be quoted in the message, in addition to the columns of `rows`.
    """
    raised_by = raised_in(error)
    where = f" (in the {raised_by})" if raised_by else ""
    error = root_error(error)
    message = _text(error)
    if message.startswith(_WRAPPERS):
        return type(error).__name__ + where
    if isinstance(error, ImportError) or (isinstance(error, OSError) and rows is None):
        names = [found[2] for found in _QUOTED.finditer(message)]  # names of modules, files
    shown = redact(message, rows, names)
    return (f"{type(error).__name__}: {shown}" if shown else type(error).__name__) + where


def note_origin(error: BaseException, raised_by: str) -> None:
    """Note on an error which of several versions raised it, like `stage flight-features 3`."""
    error.add_note(f"{_NOTED}{raised_by}")


def raised_in(error: BaseException) -> str:
    """Return what `note_origin` noted on an error; empty without a note."""
    notes = getattr(error, "__notes__", ())
    return next((one.removeprefix(_NOTED) for one in notes if one.startswith(_NOTED)), "")


def root_error(error: BaseException) -> BaseException:
    """Return the original error behind MLflow's wrappers, whose messages quote the table."""
    while _text(error).startswith(_WRAPPERS) and error.__context__ is not None:
        error = error.__context__
    return error


def trace(error: BaseException, rows: Any = None) -> str:
    """Format the traceback of an error, with the line of `describe_error` at its end."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{frames}{describe_error(error, rows)}"


def redact(message: str, rows: Any = None, names: Iterable[Any] = ()) -> str:
    """Return the first line of a message, with `CUT` in the place of each value.

    Args:
        message: The message.
        rows: The table, array or record whose values are cut.
        names: Words that may be quoted in the message, in addition to the columns of `rows`.
    """
    known = {str(name) for name in (*names, *_columns(rows))}
    line = next(iter(message.strip().splitlines()), "")
    try:
        cells = list(_cells(rows))
    except Exception:  # noqa: BLE001  # describing an error must not raise another one
        rows, cells = None, []
    words = sorted((cell.lower() for cell in cells if isinstance(cell, str)), key=len, reverse=True)

    def is_name(text: str) -> bool:
        """Whether a quoted text is a known name, or an identifier that occurs in no row."""
        spoken = text.lower()
        return text in known or (
            rows is not None and text.isidentifier() and not any(spoken in word for word in words)
        )

    line = _QUOTED.sub(lambda found: found[0] if is_name(found[2]) else CUT, line[:2000])
    for word in words:
        if word in line.lower() and word not in known:
            line = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", CUT, line, flags=re.IGNORECASE)
    numbers = [float(cell) for cell in cells if not isinstance(cell, str)]
    line = _NUMBER.sub(lambda found: CUT if _stands(found[0], numbers) else found[0], line)
    return line if len(line) <= _CHARACTERS else line[: _CHARACTERS - 1] + CUT


def _text(error: BaseException) -> str:
    message = str(getattr(error, "message", None) or error)
    # MLflow's scoring function puts the rows into `message`; `str` has the model's own message.
    return str(error) if message.startswith(_QUOTES_ROWS) else message


def _stands(number: str, among: list[float]) -> bool:
    """Whether a number in a message may be a rounded value; a single digit is never cut."""
    if len(number.strip("+-")) < 2:
        return False
    value = float(number)
    return any(abs(value - one) <= 1e-3 * abs(one) for one in among)


def _columns(rows: Any) -> Iterable[Any]:
    if isinstance(rows, dict):
        return rows.keys()
    return getattr(rows, "columns", ())


def _cells(rows: Any) -> Iterator[str | float]:
    """Yield the distinct values in rows: as strings and, if they are numbers, as floats."""
    for cell in {str(cell).strip() for cell in _leaves(rows)}:
        if len(cell) > 1:
            yield cell
        with suppress(ValueError):
            yield float(cell)


def _leaves(rows: Any) -> Iterator[Any]:
    if isinstance(rows, bytes):
        rows = rows.decode(errors="replace")
    parts = _parts(rows)
    if parts is not None:
        for part in parts:
            yield from _leaves(part)
    elif rows is not None:
        yield rows


def _parts(rows: Any) -> Iterable[Any] | None:
    """Return the parts of rows, like columns or cells; None if `rows` is a single value."""
    if isinstance(rows, dict):
        return rows.values()
    if isinstance(rows, pd.DataFrame):  # by position, since a name may occur twice
        return [rows.iloc[:, at] for at in range(rows.shape[1])]
    if isinstance(rows, np.ndarray):
        flat: list[Any] = rows.ravel().tolist()
        return flat
    if isinstance(rows, pd.Series):
        return list(rows if rows.dtype == object else rows.unique())
    return rows if isinstance(rows, (list, tuple, pd.Index)) else None
