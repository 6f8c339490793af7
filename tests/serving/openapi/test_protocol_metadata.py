import json
from typing import Any

import pytest

from cloche.serving.openapi import protocol_metadata
from cloche.serving.openapi.protocol_metadata import form, tensors


def signature(*inputs: dict[str, Any]) -> dict[str, str]:
    return {"inputs": json.dumps(inputs)}


@pytest.mark.parametrize(
    ("spec", "datatype", "shape"),
    [
        ({"type": "double"}, "FP64", [-1]),
        ({"type": "string"}, "BYTES", [-1]),
        ({"type": "array", "items": {"type": "float"}}, "FP32", [-1, -1]),
        ({"type": "map", "values": {"type": "long"}}, "BYTES", [-1]),
        ({"type": "array", "items": {"type": "object", "properties": {}}}, "BYTES", [-1]),
        ({"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, 28]}}, "UINT8",
         [-1, 28]),
    ],
)  # fmt: skip
def test_a_named_input_is_a_tensor(spec: dict[str, Any], datatype: str, shape: list[int]) -> None:
    (told,) = tensors(signature({"name": "a", **spec}), "inputs")
    assert told == {"name": "a", "datatype": datatype, "shape": shape}


def test_columns_without_names_are_one_tensor_and_no_signature_has_none() -> None:
    told = tensors(signature({"type": "double"}, {"type": "double"}), "inputs")
    assert told == [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]
    assert tensors({}, "outputs") == []


def test_a_form_holds_no_number_that_json_does_not_know() -> None:
    told = form("7", {"signature": signature({"type": "double"}), "example": '{"inputs": [NaN]}'})
    assert told["example"] == {"inputs": [None]}


def test_a_model_from_a_path_has_no_versions() -> None:
    assert protocol_metadata.open_inference("m", "7", {})["versions"] == ["7"]
    assert protocol_metadata.open_inference("m", "", {})["versions"] == []
