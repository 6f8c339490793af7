"""What JSON Schema tells of MLflow's signatures."""

import json
from typing import Any

import pytest

from cloche.serving.protocols.json_schema import column, request_schema


def branches(*inputs: dict[str, Any], params: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The content of each layout that a signature with these inputs takes."""
    signature = {"inputs": json.dumps(inputs), "params": json.dumps(params or [])}
    schema = request_schema(signature)
    return {
        branch["required"][0]: branch["properties"][branch["required"][0]]
        for branch in schema["oneOf"]
    }


AGE = {"type": "long", "name": "age", "required": True}
NICK = {"type": "string", "name": "nick", "required": False}


def tensor(*shape: int, dtype: str = "float64", **name: str) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}, **name}


def test_named_columns_are_taken_in_every_layout_and_only_required_ones_are_required() -> None:
    layouts = branches(AGE, NICK)
    assert list(layouts) == ["dataframe_split", "dataframe_records", "instances", "inputs"]
    row = layouts["dataframe_records"]["items"]
    assert row["properties"].keys() == {"age", "nick"}
    assert row["required"] == ["age"]
    assert request_schema({})["type"] == "object", "without a signature any object is taken"


def test_an_axis_of_a_tensor_is_as_long_as_the_signature_says() -> None:
    matrix = branches(tensor(-1, 2))["inputs"]
    assert "minItems" not in matrix
    row = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    assert matrix["items"] == row


def test_named_tensors_are_whole_as_inputs_and_by_rows_as_instances() -> None:
    both = branches(tensor(-1, 2, name="x"), tensor(-1, name="y", dtype="int64"))
    assert both["inputs"]["properties"]["y"] == {"type": "array", "items": {"type": "integer"}}
    assert both["instances"]["items"]["properties"]["y"] == {"type": "integer"}


def test_columns_without_names_are_rows_of_cells() -> None:
    found = branches({"type": "double"}, {"type": "string"})
    assert list(found) == ["dataframe_split"], "MLflow makes an array of the others"
    rows = found["dataframe_split"]["properties"]["data"]
    assert [cell["type"] for cell in rows["items"]["prefixItems"]] == ["number", "string"]


@pytest.mark.parametrize(
    ("spec", "schema"),
    [
        ({"type": "array", "items": {"type": "boolean"}}, {"items": {"type": "boolean"}}),
        ({"type": "map", "values": {"type": "string"}}, {"type": "object"}),
        (
            {"type": "object", "properties": {"x": {"type": "string", "required": False}}},
            {"properties": {"x": {"type": "string"}}, "required": []},
        ),
        ({"type": "any"}, {}),
    ],
)
def test_a_column_may_hold_lists_and_objects(spec: dict[str, Any], schema: dict[str, Any]) -> None:
    assert schema.items() <= column(spec).items()


def test_parameters_are_told_with_their_defaults() -> None:
    params = [{"name": "factor", "type": "double", "default": 2.0, "shape": None}]
    schema = request_schema({"inputs": json.dumps([AGE]), "params": json.dumps(params)})
    factor = schema["oneOf"][0]["properties"]["params"]["properties"]["factor"]
    assert factor["default"] == 2.0
