"""Finds the part of a request that MLflow refuses, by calling MLflow on parts of it.

MLflow's message says only that a table does not fit, and quotes its rows. The part is therefore
found by bisection, first of the columns and then of the rows. Each call costs half as much as the
one before, so that all of them cost about as much as parsing the request a few times.
"""

import pickle
import warnings
from bisect import bisect
from collections.abc import Callable
from typing import Any

import pandas as pd
from mlflow.models.utils import _enforce_params_schema, _enforce_schema
from mlflow.pyfunc.scoring_server import infer_and_parse_data
from mlflow.types import ColSpec, ParamSchema, Schema

from cloche.serving.host.parsing.json_types import JsonTypes
from cloche.serving.host.parsing.missing_values import MissingValueGuard, lossy_arrays, refuse_gaps
from cloche.serving.host.parsing.older_mlflow import Array

_MOST_BESIDE_OTHERS = 1_000


def refuses_payload(payload: dict[str, Any], schema: Schema) -> bool:
    """Whether MLflow refuses a JSON payload for a model with these inputs."""

    def read() -> Any:
        # A copy, as `prepare` changes the payload in place; `deepcopy` takes ten times as long.
        own = pickle.loads(pickle.dumps(payload))  # noqa: S301  # not bytes from outside
        known: Any = MissingValueGuard(schema).prepare(own)
        return infer_and_parse_data(own, known)

    return _fails(lambda: _enforce(read(), schema))


def refuses_data(data: Any, schema: Schema) -> bool:
    """Whether MLflow refuses a table or an array for a model with these inputs."""
    return _fails(lambda: _enforce(data, schema))


def refuses_element(cell: Any, kind: Any, *, required: bool = True) -> bool:
    """Whether MLflow refuses a value inside a list, an object or a map."""
    if cell is None and not required:
        return False
    schema = Schema([ColSpec(Array(kind), "x")])
    return refuses_payload({"dataframe_split": {"columns": ["x"], "data": [[[cell]]]}}, schema)


def refuses_param(value: Any, spec: Any) -> bool:
    """Whether MLflow refuses the value of a parameter."""
    return _fails(lambda: _enforce_params_schema({spec.name: value}, ParamSchema([spec])))


def first_refused(count: int, refuses: Callable[[slice], bool]) -> int | None:
    """Return the position of the first refused part; None if it is not found.

    First it searches parts that are refused by themselves. Then, except in large requests, it
    searches parts that are refused only together with parts before them, like a text among numbers
    in a column that takes both; this costs more.
    """
    if not count:
        return None
    start, stop = 0, count
    while stop - start > 1:
        middle = (start + stop) // 2
        if refuses(slice(start, middle)):
            stop = middle
        else:
            start = middle
    if refuses(slice(start, stop)):
        return start
    if count > _MOST_BESIDE_OTHERS or not refuses(slice(0, count)):
        return None
    # the shortest refused beginning ends with the part that is refused beside the others
    return bisect(range(1, count), False, key=lambda end: refuses(slice(0, end)))


def _enforce(data: Any, schema: Schema) -> None:
    refuse_gaps(data, lossy_arrays(schema))
    data = JsonTypes(schema).convert_table(data)
    if isinstance(data, pd.DataFrame):
        data = data.copy()
    _enforce_schema(data, schema)


def _fails(judge: Callable[[], Any]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas warns of types and formats that it guesses
            judge()
    except Exception:  # noqa: BLE001  # MLflow, pandas and numpy may raise any exception
        return True
    return False
