"""MLflow's own judgement on parts of a request, which finds the part that it refuses.

MLflow says of a table only that it does not fit, in words that quote rows. It is therefore asked
again, about halves of the columns and then of the rows, so that each look costs half as much as the
one before: all of them cost about as much as a few readings of the request.
"""

import pickle
import warnings
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
        # a copy, as what is read is given types in place; `deepcopy` takes ten times as long
        own = pickle.loads(pickle.dumps(payload))  # noqa: S301  # no foreign bytes
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
    """The position of the first of so many parts that is refused; None where nobody can tell.

    Each part is looked for alone. Parts that are refused only beside others, like a text among
    numbers where either would do, are looked for among those before them, which costs more: not in
    large requests.

    Args:
        count: The number of the parts.
        refuses: Tells whether these parts are refused together.
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
    return _first_beside_others(count, refuses)


def _first_beside_others(count: int, refuses: Callable[[slice], bool]) -> int:
    """The position of the first part that is refused together with those before it."""
    taken, refused = 0, count
    while refused - taken > 1:
        middle = (taken + refused) // 2
        if refuses(slice(0, middle)):
            refused = middle
        else:
            taken = middle
    return taken


def _enforce(data: Any, schema: Schema) -> None:
    refuse_gaps(data, lossy_arrays(schema))
    data = JsonTypes(schema).of_table(data)
    if isinstance(data, pd.DataFrame):
        data = data.copy()
    _enforce_schema(data, schema)


def _fails(judge: Callable[[], Any]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas warns of what it guesses
            judge()
    except Exception:  # noqa: BLE001  # MLflow, pandas and numpy raise whatever they like
        return True
    return False
