"""The fast path gives exactly the frame that MLflow's parsing and enforcement give, or declines."""

import copy
import json
from typing import Any
from unittest import mock

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.models import Model, ModelSignature
from mlflow.models.utils import _enforce_schema
from mlflow.pyfunc.scoring_server import infer_and_parse_data
from mlflow.types import ColSpec, DataType, Schema

from cloche.serving.host.parsing import column_decoder
from cloche.serving.host.parsing.column_decoder import ColumnDecoder, Table, compile_decoder

TYPES = ["double", "float", "long", "integer", "boolean", "string"]
NAMES = [f"c_{kind}" for kind in TYPES]
SCHEMA = Schema([ColSpec(kind, name) for kind, name in zip(TYPES, NAMES, strict=True)])

fitting = {
    "double": st.one_of(st.floats(), st.integers(-(2**54), 2**54)),
    "float": st.one_of(st.floats(), st.integers(-1000, 1000)),
    "long": st.integers(-(2**63), 2**63 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "boolean": st.booleans(),
    "string": st.one_of(st.text(max_size=5), st.sampled_from(["", "a\0", "nan", "1", "é"])),
}
odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just([1]),
    st.just({}),
)  # fmt: skip


def decoder() -> ColumnDecoder:
    compiled = compile_decoder(Model(signature=ModelSignature(inputs=SCHEMA)))
    assert compiled is not None
    return compiled


def cells(kind: str) -> st.SearchStrategy[Any]:
    """Mostly cells that fit, and now and then any other."""
    return st.integers(0, 19).flatmap(
        lambda n: odd if n == 0 else st.none() if n == 1 else fitting[kind]
    )


rows = st.lists(st.tuples(*(cells(kind) for kind in TYPES)).map(list), min_size=1, max_size=4)
LAYOUTS = ["dataframe_split", "dataframe_records", "instances", "inputs", "columns"]
layouts = st.sampled_from(LAYOUTS)


def payload(layout: str, table: list[list[Any]], names: list[str]) -> dict[str, Any]:
    if layout == "dataframe_split":
        return {layout: {"columns": names, "data": table}}
    if layout == "columns":
        return {"inputs": {name: [row[at] for row in table] for at, name in enumerate(names)}}
    return {layout: [dict(zip(names, row, strict=True)) for row in table]}


def frame(*tables: Table) -> pd.DataFrame:
    return decoder().frame(decoder().join(tables))


def read(body: Any, *, many: bool = False) -> Table | None:
    """What the decoder reads; by columns, as of a thousand rows, if `many`."""
    with mock.patch.object(column_decoder, "_MANY_ROWS", 1 if many else 1000):
        return decoder().read(json.loads(json.dumps(body)))


def mlflow_frame(body: dict[str, Any]) -> pd.DataFrame:
    return _enforce_schema(infer_and_parse_data(copy.deepcopy(body), SCHEMA), SCHEMA)


@settings(max_examples=4 * settings().max_examples)
@given(layouts, rows)
def test_the_plan_gives_what_mlflow_gives_or_declines(layout: str, table: list[list[Any]]) -> None:
    body = json.loads(json.dumps(payload(layout, table, NAMES)))
    by_rows, by_columns = read(body), read(body, many=True)
    assert (by_rows is None) == (by_columns is None)
    for one in (by_rows, by_columns):
        if one is not None:
            pd.testing.assert_frame_equal(frame(one), mlflow_frame(body))


@settings(max_examples=2 * settings().max_examples)
@given(layouts, rows, layouts, rows, st.booleans())
def test_joined_requests_keep_the_frames_they_have_alone(
    one_layout: str, one: list[list[Any]], other_layout: str, other: list[list[Any]], many: bool
) -> None:
    bodies = [payload(one_layout, one, NAMES), payload(other_layout, other, NAMES)]
    first, second = read(bodies[0], many=many), read(bodies[1])
    if first is None or second is None or first.key != second.key:
        return
    joined = frame(first, second)
    parts = [mlflow_frame(json.loads(json.dumps(body))) for body in bodies]
    pd.testing.assert_frame_equal(joined, pd.concat(parts, ignore_index=True))


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "string"])
def test_columns_of_one_type_are_the_frame_that_mlflow_gives(kind: str) -> None:
    names = ["c", "a", "b"]
    schema = Schema([ColSpec(kind, name) for name in names])
    compiled = compile_decoder(Model(signature=ModelSignature(inputs=schema)))
    body = payload("dataframe_records", [[True] * 3 if kind == "boolean" else [1, 2, 3]] * 2, names)
    assert compiled is not None
    for _ in range(2):
        found = compiled.read(json.loads(json.dumps(body)))
        assert found is not None
        made = compiled.frame(compiled.join([found]))
        right = _enforce_schema(infer_and_parse_data(copy.deepcopy(body), schema), schema)
        pd.testing.assert_frame_equal(made, right)
        made.columns.name = "of the model"  # what a model does to a frame concerns no other
        made.loc[0] = made.loc[1]


ROW = [1.5, 2.5, 3, 4, True, "x"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ordinary_requests_take_the_fast_path(layout: str) -> None:
    assert decoder().read(payload(layout, [ROW, ROW], NAMES)) is not None
    gaps = payload(layout, [ROW, [None, None, 3, 4, True, None]], NAMES)
    assert (decoder().read(gaps) is not None) == layout.startswith("dataframe")


@pytest.mark.parametrize("layout", ["dataframe_split", "dataframe_records"])
def test_columns_may_come_in_any_order(layout: str) -> None:
    body = payload(layout, [ROW[::-1]], NAMES[::-1])
    for many in (False, True):
        found = read(body, many=many)
        assert found is not None
        pd.testing.assert_frame_equal(frame(found), mlflow_frame(body))


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, {"dataframe_split": None}, {"instances": [ROW]}, {"inputs": 1},
        {"dataframe_split": {"columns": [NAMES[0]] * 6, "data": [ROW]}},
        {"dataframe_split": {"columns": [[]] * 6, "data": [ROW]}},
        {"dataframe_split": {"columns": NAMES, "data": []}},
        {"dataframe_split": {"columns": NAMES, "data": [ROW], "index": [7]}},
        {"dataframe_split": [dict(zip(NAMES, ROW, strict=True))]},
        {"dataframe_records": {"columns": NAMES, "data": [ROW]}},
        {"dataframe_records": [dict(zip([*NAMES[1:], "other"], ROW, strict=True))]},
        payload("dataframe_records", [ROW], NAMES) | {"messages": []},
        payload("dataframe_records", [ROW], NAMES) | {"instances": []},
        payload("dataframe_records", [ROW], NAMES) | {"params": 1},
    ],
)  # fmt: skip
def test_what_it_does_not_know_it_declines(body: Any) -> None:
    assert read(body) is None
    assert read(body, many=True) is None


@pytest.mark.parametrize(
    "schema",
    [
        None,
        Schema([ColSpec("datetime", "a")]),
        Schema([ColSpec("binary", "a")]),
        Schema([ColSpec("double")]),
        Schema([ColSpec("double", "a"), ColSpec("datetime", "b")]),
    ],
)
def test_other_signatures_have_no_plan(schema: Schema | None) -> None:
    signature = ModelSignature(inputs=schema) if schema else None
    assert compile_decoder(Model(signature=signature)) is None


def test_every_scalar_type_is_planned_or_known_not_to_be() -> None:
    assert {kind.name for kind in DataType} - set(TYPES) == {"datetime", "binary"}
