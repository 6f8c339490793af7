"""What of a changed signature concerns those who send requests."""

import json
from typing import Any

import pytest

from cloche.registry.input_change import input_changes

A, B = {"name": "a", "type": "double"}, {"name": "b", "type": "long"}
IMAGE = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}


def signature(*columns: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": json.dumps(columns), "outputs": None, "params": None}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([A], [B], "'a' (double) is gone, 'b' (long) is new"),
        ([A, B], [A, B | {"type": "string"}], "'b' was long and is string"),
        ([A | {"required": False}], [A], "'a' was optional and is required"),
        ([A], [A | {"required": False}, B | {"required": False}], ""),
        ([A, B], [B, A], ""),
        ([A], [], ""),
        ([IMAGE], [IMAGE], ""),
        (
            [A], [{"name": f"c{n}", "type": "double"} for n in range(6)],
            "'a' (double) is gone, 'c0' (double) is new, 'c1' (double) is new, 'c2' (double) is "
            "new, 'c3' (double) is new and 2 more",
        ),
    ],
)  # fmt: skip
def test_what_clients_must_send_otherwise_is_told(before: Any, after: Any, said: str) -> None:
    assert input_changes(signature(*before), signature(*after)) == said


def test_the_shape_of_a_tensor_is_its_type() -> None:
    larger = IMAGE | {"tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}
    said = input_changes(signature(IMAGE), signature(larger))
    assert "[-1, 2]" in said
    assert "[-1, 3]" in said


def test_of_a_version_without_a_signature_nothing_is_said() -> None:
    assert input_changes(None, signature(A)) == input_changes(signature(A), None) == ""
