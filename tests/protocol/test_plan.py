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

from cloche.serving.host.log_records.cells import columns_of, texts
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


def decoder(*sent: str) -> ColumnDecoder:
    compiled = compile_decoder(Model(signature=ModelSignature(inputs=SCHEMA)), sent)
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


def read(body: Any, *sent: str, many: bool = False) -> Table | None:
    """What the decoder reads; by columns, as of a thousand rows, if `many`."""
    with mock.patch.object(column_decoder, "_MANY_ROWS", 1 if many else 1000):
        return decoder(*sent).read(json.loads(json.dumps(body)))


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


other_names = st.one_of(
    st.sampled_from(["id", "C_double", "index", "data", "columns", "", "\ud800"]),
    st.text(max_size=3),
).filter(lambda name: name not in NAMES)
one_kind = st.sampled_from([
    st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=5),
    st.one_of(st.none(), st.text(max_size=5)), st.sampled_from(["\ud800", "a\0"]),
    st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**400]),
])  # fmt: skip


def other_cells(rows_: int) -> st.SearchStrategy[list[Any]]:
    """Mostly cells of one type, and now and then of any."""
    kinds = st.one_of(one_kind, one_kind, st.just(odd))
    return kinds.flatmap(lambda kind: st.lists(kind, min_size=rows_, max_size=rows_))


@st.composite
def bodies_with_others(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    """A body with columns that the model does not take, and their names."""
    layout, table = draw(layouts), draw(rows)
    others = draw(st.lists(other_names, unique=True, max_size=3))
    columns = [draw(other_cells(len(table))) for _ in others]
    order = draw(st.permutations(range(len(NAMES) + len(others))))
    names = [*NAMES, *others]
    whole = [[*row, *cells] for row, cells in zip(table, zip(*columns, strict=True), strict=False)]
    whole = whole or table
    body = payload(
        layout, [[row[at] for at in order] for row in whole], [names[at] for at in order]
    )
    if layout == "dataframe_split" and draw(st.booleans()):
        numbered = st.just(list(range(len(table))))
        index = draw(st.one_of(numbered, other_cells(len(table)), other_cells(2), odd))
        body[layout]["index"] = index
    if others and draw(st.integers(0, 9)) == 0:  # rows that are not alike
        if layout == "dataframe_split":
            body[layout]["data"][-1].append(1)
        elif layout == "columns":
            body["inputs"][others[0]].append(1)
        else:
            del body[layout][-1][others[0]]
    return body, others


def text_of(cell: Any) -> str | None:
    """What is logged of a cell, which numpy may have in an array of no axes."""
    return texts([cell.item() if hasattr(cell, "item") else cell])[0]


@settings(max_examples=4 * settings().max_examples)
@given(bodies_with_others())
def test_columns_that_the_model_does_not_take_are_left_out_as_mlflow_leaves_them_out(
    request: tuple[dict[str, Any], list[str]],
) -> None:
    body, others = request
    by_rows, by_columns = read(body, *others), read(body, *others, many=True)
    assert (by_rows is None) == (by_columns is None)
    for one in (by_rows, by_columns):
        if one is None:
            continue
        right = mlflow_frame(body)
        if one.indexed:
            right = right.reset_index(drop=True)
        pd.testing.assert_frame_equal(frame(one), right)
        parsed = infer_and_parse_data(copy.deepcopy(body), SCHEMA)
        logged = columns_of(pd.DataFrame(parsed), one.length)
        assert one.sent.keys() == set(others) & logged.keys()
        for name, sent in one.sent.items():
            wide = any(type(cell) is int and abs(cell) >= 2**63 for cell in sent)
            if not wide:  # numpy makes floats of some
                assert texts(sent) == list(map(text_of, logged[name]))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("cells", [["a", "b"], [7, 8], [0.5, 1.5], [True, False], ["a", None]])
def test_an_id_beside_the_columns_of_the_model_takes_the_fast_path(
    layout: str, many: bool, cells: list[Any]
) -> None:
    names = ["id", *NAMES]
    body = payload(layout, [[cell, *ROW] for cell in cells], names)
    found = read(body, "id", "nobody", "c_long", many=many)
    assert found is not None
    assert {name: list(column) for name, column in found.sent.items()} == {"id": cells}
    pd.testing.assert_frame_equal(frame(found), frame(read(payload(layout, [ROW, ROW], NAMES))))
    unkept = read(body, many=many)
    assert unkept is not None
    assert (unkept.sent, unkept.key) == ({}, read(payload(layout, [ROW], NAMES)).key)


def test_only_requests_of_which_the_log_keeps_the_same_columns_are_joined() -> None:
    keys = [
        read(payload("dataframe_records", [[*ROW, *"ab"]], [*NAMES, *names]), "id", "who").key
        for names in (("id", "who"), ("who", "id"), ("id", "x"), ("x", "y"), ("who", "x"))
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


@pytest.mark.parametrize(
    ("index", "indexed"),
    [
        (None, False), ([0, 1], False), ([7, 9], True), ([1, 0], True), ([0.0, 1.0], True),
        ([False, True], True), (["0", "1"], True), (["a", "a"], True), ([None, None], True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("many", [False, True])
def test_an_index_that_the_model_would_see_is_told(index: Any, indexed: bool, many: bool) -> None:
    body = payload("dataframe_split", [ROW, ROW], NAMES)
    body["dataframe_split"]["index"] = index
    found, plain = read(body, many=many), read(payload("dataframe_split", [ROW, ROW], NAMES))
    assert found is not None
    assert plain is not None
    assert (found.indexed, found.key != plain.key) == (indexed, indexed)


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
RECORD = dict(zip(NAMES, ROW, strict=True))


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
        *(
            {"dataframe_split": {"columns": NAMES, "data": [ROW], "index": index}}
            for index in (7, "a", {}, {"a": 1}, [], [7, 8], [[7]], ["\ud800"])
        ),
        {"dataframe_split": {"columns": NAMES, "data": [ROW], "other": [7]}},
        {"dataframe_split": {"columns": NAMES, "data": [[*ROW, 7]]}},
        {"dataframe_split": {"columns": [*NAMES, "id"], "data": [[*ROW, 7], ROW]}},
        {"dataframe_split": {"columns": [*NAMES, "id", "id"], "data": [[*ROW, 7, 8]]}},
        {"dataframe_split": {"columns": [*NAMES, NAMES[0]], "data": [[*ROW, 1.5]]}},
        *(
            {"dataframe_split": {"columns": [*NAMES, name], "data": [[*ROW, 7]]}}
            for name in (None, 7, ["id"], "\ud800")
        ),
        *(
            payload(layout, [[*ROW, one], [*ROW, other]], [*NAMES, "id"])
            for one, other in [
                (7, None), (7, "a"), (7, 1.5), (True, 1), ("a", "\ud800"), ([7], [7]),
            ]
            for layout in LAYOUTS
        ),
        *({layout: [RECORD | {"id": 7}, RECORD]} for layout in LAYOUTS[1:4]),
        {"dataframe_records": [RECORD | {name: 7} for name in "ab"]},
        *(
            {"inputs": {name: [cell] for name, cell in RECORD.items()} | {"id": cells}}
            for cells in (7, [7, 8], [])
        ),
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
