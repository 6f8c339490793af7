"""What is missing stays missing in every protocol, or is refused; and a word is no truth value."""

import base64
import contextlib
import io
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import Array, Map, Object, Property

from cloche.serving.host.parsing.column_decoder import compile_decoder
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import Item

pytestmark = pytest.mark.filterwarnings("ignore")

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
MISSING = "missing"
# Each type, and values of it as JSON has them.
KINDS: dict[str, tuple[Any, list[Any]]] = {
    "boolean": ("boolean", [True, False]),
    "integer": ("integer", [1, -2]),
    "long": ("long", [2**53 + 1, -2]),
    "float": ("float", [0.5, -2.0]),
    "double": ("double", [0.1, -2.0]),
    "string": ("string", ["one", ""]),
    "binary": ("binary", [base64.b64encode(b"\0x").decode(), ""]),
    "datetime": ("datetime", ["2013-11-01T10:00:00", "2026-01-02T00:00:00"]),
    "booleans": (Array("boolean"), [[True, False], [False]]),
    "strings": (Array("string"), [["one", ""], ["two"]]),
    "doubles": (Array("double"), [[0.5, 1.5], [2.5]]),
    "lists of booleans": (Array(Array("boolean")), [[[True]], [[False]]]),
    "objects": (
        Object([Property("flag", "boolean", required=False), Property("more", Array("boolean"))]),
        [{"flag": True, "more": [True]}, {"flag": False, "more": [False]}],
    ),
    "maps": (Map("boolean"), [{"a": True}, {"b": False}]),
    "maps of lists": (Map(Array("string")), [{"a": ["x"]}, {"b": ["y"]}]),
}
LAYOUTS = ["dataframe_split", "dataframe_records", "instances", "inputs"]


class Echo:
    """Answers with the cells of `x` as they reached it."""

    def predict(self, data: Any) -> list[str]:
        cells = data["x"] if isinstance(data, (pd.DataFrame, dict)) else data
        return [json.dumps(_plain(cell)) for cell in cells]


def _plain(cell: Any) -> Any:
    if isinstance(cell, (list, tuple, np.ndarray)):
        return [_plain(one) for one in cell]
    if isinstance(cell, dict):
        return {name: _plain(one) for name, one in cell.items()}
    if cell is None or cell is pd.NaT or cell is pd.NA or (cell != cell):  # noqa: PLR0124
        return MISSING
    return repr(cell.item() if isinstance(cell, np.generic) else cell)


def scorer(schema: Schema) -> HostScorer:
    model = PyFuncModel(Model(signature=ModelSignature(schema)), Echo())
    return HostScorer(model, compile_decoder(model.metadata), None, name="echo", version="1")


def columns(kind: Any, *, required: bool = False) -> Schema:
    return Schema([ColSpec(kind, "x", required=required), ColSpec("long", "id")])


def payload(layout: str, cells: list[Any]) -> dict[str, Any]:
    rows = [{"x": cell, "id": at} for at, cell in enumerate(cells)]
    return {
        layout: {
            "dataframe_split": {"columns": ["id", "x"], "data": [[r["id"], r["x"]] for r in rows]},
            "dataframe_records": rows,
            "instances": rows,
            "inputs": {"x": cells, "id": [row["id"] for row in rows]},
        }[layout]
    }


def v2(kind: str, cells: list[Any]) -> dict[str, Any]:
    types = {
        "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64",
    }  # fmt: skip
    if isinstance(KINDS[kind][0], (Object, Map)):
        cells = [cell if cell is None else json.dumps(cell) for cell in cells]
    data = {"name": "x", "datatype": types.get(kind, "BYTES"), "shape": [len(cells)], "data": cells}
    ids = {"name": "id", "datatype": "INT64", "shape": [len(cells)], "data": [*range(len(cells))]}
    return {"inputs": [data, ids]}


def items(kind: str, cells: list[Any]) -> dict[str, Item]:
    """The same rows in every protocol."""
    asked = {
        f"{protocol} {layout}": Item(
            JSON, json.dumps(payload(layout, cells)).encode(), protocol=protocol
        )
        for protocol, layouts in (
            ("mlflow", LAYOUTS), ("torchserve", LAYOUTS), ("tf_serving", LAYOUTS[2:]),
        )
        for layout in layouts
    }  # fmt: skip
    if kind not in ("booleans", "strings", "doubles", "lists of booleans"):
        asked["V2"] = Item(JSON, json.dumps(v2(kind, cells)).encode(), protocol="open_inference")
    frame = pd.DataFrame({"x": pd.Series(cells, dtype=object), "id": range(len(cells))})
    if kind == "binary":
        frame["x"] = frame["x"].map(base64.b64decode, na_action="ignore")
    elif kind == "datetime":
        frame["x"] = pd.to_datetime(frame["x"])
    elif kind in ("float", "double"):
        frame["x"] = frame["x"].astype({"float": "float32", "double": "float64"}[kind])
    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowTypeError):  # no column holds all kinds
        body = io.BytesIO()
        frame.to_parquet(body, index=False)
        asked["parquet"] = Item(PARQUET, body.getvalue())
    if kind in ("boolean", "integer", "long", "float", "double", "string"):
        asked["csv"] = Item(CSV, frame.to_csv(index=False).encode())
    return asked


def answers(scoring: HostScorer, item: Item) -> list[str] | None:
    """What reached the model; None if the request was refused."""
    (answer,) = scoring.score([item]).answers
    if answer.status != 200:
        assert answer.status == 400
        return None
    told = json.loads(answer.body)
    if item.protocol == "open_inference":
        return [json.loads(cell) for cell in told["outputs"][0]["data"]]
    if isinstance(told, dict):
        told = told["predictions"] if "predictions" in told else told["outputs"]
    return [json.loads(cell) for cell in told]


@pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_cell_stays_missing_or_is_refused_in_every_protocol(kind, required):
    of, values = KINDS[kind]
    scoring = scorer(columns(of, required=required))
    whole = {protocol: answers(scoring, item) for protocol, item in items(kind, values).items()}
    kept = set()
    for cells in ([*values, None], [None, *values], [None], [None, None]):
        for protocol, item in items(kind, cells).items():
            found = answers(scoring, item)
            if found is None:
                continue
            kept.add(protocol)
            assert len(found) == len(cells), protocol
            for cell, got in zip(cells, found, strict=True):
                right = MISSING if cell is None else (whole[protocol] or [])[values.index(cell)]
                if protocol == "csv" and cell == "":
                    continue  # CSV writes a missing text and an empty one alike
                assert got == right, (protocol, cells, found)
    if not required and kind in ("boolean", "string", "double", "float"):
        # CSV knows no missing truth value, and neither does BOOL of the Open Inference Protocol.
        assert kept >= set(items(kind, values)) - ({"csv", "V2"} if kind == "boolean" else set())


@pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
@pytest.mark.parametrize("word", ["maybe", "true", "false", "", "0", [True], {"a": 1}, math.nan])
def test_what_is_no_truth_value_never_becomes_one(word, required):
    scoring = scorer(columns("boolean", required=required))
    asked = [items("boolean", [*beside, word]) for beside in ([], [True], [True, None])]
    for protocol, item in (one for protocols in asked for one in protocols.items()):
        if protocol == "csv" and word != "maybe":
            continue  # CSV has no other words for truth, and no cell at all is missing
        if protocol in ("parquet", "V2") and not isinstance(word, str):
            continue  # a missing number is written as no value, and tensors may be nested
        found = answers(scoring, item)
        assert found is None or found[-1] == MISSING, (protocol, found)
        if isinstance(word, str):
            assert found is None, protocol


LOSSES = [
    ("booleans", [[True, None]]),
    ("booleans", [[True, "maybe"]]),
    ("strings", [["one", None]]),
    ("lists of booleans", [[[True], [None]]]),
    ("objects", [{"flag": True, "more": [None]}]),
    ("maps of lists", [{"a": ["x", None]}]),
]


@pytest.mark.parametrize(("kind", "cells"), LOSSES)
def test_lists_that_no_array_can_hold_are_refused_in_every_protocol(kind, cells):
    scoring = scorer(columns(KINDS[kind][0]))
    for protocol, item in items(kind, cells).items():
        assert answers(scoring, item) is None, protocol


@pytest.mark.parametrize(
    ("dtype", "cells"),
    [
        ("bool", [True, None]),
        ("bool", [True, "maybe"]),
        ("str", ["a", None]),
        ("bytes", ["x", None]),
    ],
)
def test_tensors_hold_nothing_missing(dtype, cells):
    scoring = scorer(Schema([TensorSpec(np.dtype(dtype), (-1,), "x")]))
    bodies = [payload(layout, cells) for layout in LAYOUTS]
    bodies[3] = {"inputs": {"x": cells}}
    for body in bodies:
        for row in (body.get("instances"), body.get("dataframe_records")):
            for cell in row or []:
                cell.pop("id")
        assert answers(scoring, Item(JSON, json.dumps(body).encode())) is None, body
    unnamed = scorer(Schema([TensorSpec(np.dtype(dtype), (-1,))]))
    for layout in ("inputs", "instances"):
        body = json.dumps({layout: cells}).encode()
        assert answers(unnamed, Item(JSON, body)) is None
    if "maybe" not in cells and dtype != "bool":
        tensor = {"name": "x", "datatype": "BYTES", "shape": [2], "data": cells}
        body = json.dumps({"inputs": [tensor]}).encode()
        assert answers(scoring, Item(JSON, body, protocol="open_inference")) is None


@pytest.mark.parametrize("layout", ["inputs", "instances"])
@pytest.mark.parametrize("width", [1, 2])
def test_columns_without_names_take_no_missing_value(width, layout):
    spec = ColSpec("boolean")
    scoring = HostScorer(
        PyFuncModel(Model(signature=ModelSignature(Schema([spec] * width))), Unnamed()), None, None
    )
    for rows, right in (
        ([[True] * width, [False] * width], [["True"] * width, ["False"] * width]),
        ([[True] * width, [None] * width], None),
        ([[True] * width, ["maybe"] * width], None),
    ):
        body = json.dumps({layout: rows}).encode()
        assert answers(scoring, Item(JSON, body)) == right


class Unnamed:
    def predict(self, data: pd.DataFrame) -> list[str]:
        return [json.dumps(_plain(row)) for row in data.astype(object).to_numpy().tolist()]
