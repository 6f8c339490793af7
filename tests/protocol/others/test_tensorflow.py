"""TensorFlow Serving's REST API, as its guide has it."""

import base64
from typing import Any

import pytest

from tests.protocol.others.clients import Protocols

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("protocols")]

ROWS = [{"a": 0.5, "b": 1.0}, {"a": 2.0, "b": 3.0}]


def predict(protocols: Protocols, model: str, body: Any) -> Any:
    response = protocols.ask(f"/v1/models/{model}:predict", body)
    assert response.status_code == 200, response.text
    return response.json()


def test_rows_are_answered_by_rows(protocols: Protocols) -> None:
    found = predict(protocols, "frame", {"signature_name": "serving_default", "instances": ROWS})
    assert [row["prediction"] for row in found["predictions"]] == [True, True]


def test_columns_are_answered_by_columns(protocols: Protocols) -> None:
    columns = {"a": [0.5, 2.0], "b": [1.0, 3.0]}
    found = predict(protocols, "frame", {"inputs": columns})
    assert found["outputs"]["prediction"] == [True, True]


def test_a_single_output_drops_its_name(protocols: Protocols) -> None:
    assert predict(protocols, "tensor", {"instances": [[1.0, 2.0]]}).keys() == {"predictions"}
    found = predict(protocols, "params", {"inputs": {"a": [1.0], "b": [2.0]}})
    assert found == {"outputs": [6.0]}


def test_text_may_be_base64(protocols: Protocols) -> None:
    row = {"a": 1.5, "b": 0.5, "c": 3, "d": 4, "e": True}
    coded = row | {"f": {"b64": base64.b64encode("é".encode()).decode()}}
    plain = predict(protocols, "scalars", {"instances": [row | {"f": "é"}]})
    assert predict(protocols, "scalars", {"instances": [coded]}) == plain


def test_numbers_that_json_does_not_know_are_read(protocols: Protocols) -> None:
    body = '{"instances": [{"a": NaN, "b": Infinity}]}'
    response = protocols.ask("/v1/models/frame:predict", data=body)
    assert response.status_code == 200


def test_the_status_says_which_version_serves(protocols: Protocols) -> None:
    told = protocols.ask("/v1/models/frame", method="GET").json()
    (status,) = told["model_version_status"]
    assert status["state"] == "AVAILABLE"
    assert told["name"] == "frame"


def test_the_metadata_is_that_of_the_signature(protocols: Protocols) -> None:
    told = protocols.ask("/v1/models/scalars/metadata", method="GET").json()
    signature = told["metadata"]["signature_def"]["signature_def"]["serving_default"]
    kinds = {name: one["dtype"] for name, one in signature["inputs"].items()}
    assert kinds == {
        "a": "DT_DOUBLE", "b": "DT_FLOAT", "c": "DT_INT64", "d": "DT_INT32", "e": "DT_BOOL",
        "f": "DT_STRING",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/nobody:predict", 404),
        ("/v1/models/frame/versions/77:predict", 404),
        ("/v1/models/frame/labels/canary:predict", 404),
        ("/v1/models/frame:predict", 400),
    ],
)
def test_an_error_has_its_form(protocols: Protocols, path: str, status: int) -> None:
    response = protocols.ask(path, {"instances": [{"a": 1.0}]})
    assert response.status_code == status
    assert response.json().keys() == {"error"}
