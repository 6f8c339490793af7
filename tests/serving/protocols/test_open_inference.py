import json
from typing import Any

import pytest

from cloche.serving.protocols.open_inference import (
    OPEN_INFERENCE,
    OPEN_INFERENCE_GRPC,
    model_metadata,
    tensors,
)


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


def test_a_model_from_a_path_has_no_versions() -> None:
    assert model_metadata("m", "7", {})["versions"] == ["7"]
    assert model_metadata("m", "", {})["versions"] == []


def test_rows_of_tensors_are_the_first_axis() -> None:
    body = json.dumps({"inputs": [{"name": "a", "shape": [70, 1], "data": [1] * 70}]}).encode()
    assert OPEN_INFERENCE.rows("application/json", body) == 70


def test_a_shape_that_lies_is_bounded_by_the_body() -> None:
    assert OPEN_INFERENCE.rows("", b'{"inputs": [{"shape": [999999999]}]}') == 36


def test_rows_of_messages_are_told_from_their_length() -> None:
    assert [OPEN_INFERENCE_GRPC.rows("", bytes(size)) for size in (0, 512)] == [1, 2]
