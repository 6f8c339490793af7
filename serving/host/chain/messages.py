"""What a chain and the process of a stage send to each other: rows, and errors.

The two may have other versions of Python, pandas and numpy. Rows are pickled, but no object of
pandas is: columns travel in Arrow's format, and those with values that Arrow would change, like
lists and dicts, as Python values. The process of a stage sends nothing that is unpickled.
"""

from typing import Any

import pandas as pd
import pyarrow as pa
from mlflow.exceptions import MlflowException

from cloche.serving.host.answers.error_answers import InvalidCell, RequestRefused
from cloche.serving.host.answers.error_origin import raised_by_model
from cloche.serving.host.predictors.prediction_writer import ModelPredictions
from cloche.serving.host.staged_requests import frame_of
from cloche.values.redaction import root_error

_TABLE, _FRAME, _OTHER = "table", "frame", "other"
_TEXTS = ("string", "empty")  # what pandas calls a column of texts, and one of gaps
# What is done about an error of a stage's code depends on these classes.
_RAISED = (RequestRefused, MemoryError, ImportError, OSError, Exception)
_KINDS = {kind.__name__: kind for kind in (*_RAISED, MlflowException)}


def rows_message(rows: Any) -> tuple[Any, ...]:
    """Return rows as they are pickled: a table of a stage, a data frame, or arrays."""
    if isinstance(rows, pa.Table):
        return _TABLE, _stream(rows)
    if not isinstance(rows, pd.DataFrame):
        return _OTHER, rows
    flat, values = {}, {}
    for place in range(rows.shape[1]):  # by position, since a name may occur twice
        column = rows.iloc[:, place].reset_index(drop=True)
        if column.dtype == object and pd.api.types.infer_dtype(column) not in _TEXTS:
            values[place] = column.tolist()
        else:
            flat[str(place)] = column
    table = ModelPredictions(pd.DataFrame(flat), len(rows)).table
    return _FRAME, _stream(table), list(rows.columns), values


def read_rows(message: tuple[Any, ...]) -> Any:
    """Return the rows of a message."""
    kind, content, *about = message
    if kind == _OTHER:
        return content
    with pa.ipc.open_stream(content) as stream:
        table = stream.read_all()
    if kind == _TABLE:
        return table
    names, values = about
    flat = frame_of(table)
    columns = [
        pd.Series(values[place], dtype=object) if place in values else flat[str(place)]
        for place in range(len(names))
    ]
    return pd.DataFrame(dict(enumerate(columns))).set_axis(names, axis="columns")


def error_message(error: Exception) -> dict[str, Any]:
    """Return what a chain is told of an error: what `rebuilt_error` makes it from, as JSON."""
    inner = root_error(error)
    text = str(getattr(inner, "message", None) or inner)
    kind: type[Exception] = MlflowException
    if isinstance(error, InvalidCell):
        text = error.reason
    elif raised_by_model(error):
        kind = next(one for one in _RAISED if isinstance(inner, one))
    return {
        "kind": kind.__name__, "type": type(inner).__name__, "text": text,
        "errno": getattr(inner, "errno", None),
    }  # fmt: skip


def rebuilt_error(message: dict[str, Any]) -> Exception:
    """Return an error that has the name and the text of the one in the process of a stage.

    An MlflowException is one of MLflow's enforcement; see `raised_by_model`.
    """
    error: Exception = type(message["type"], (_KINDS[message["kind"]],), {})(message["text"])
    if isinstance(error, OSError):
        error.errno = message["errno"]
    return error


def _stream(table: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue().to_pybytes())
