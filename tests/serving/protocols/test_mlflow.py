import json

from cloche.serving.protocols.mlflow import form


def test_a_form_holds_no_number_that_json_does_not_know() -> None:
    signature = {"inputs": json.dumps([{"type": "double"}])}
    told = form("m", "7", {"signature": signature, "example": '{"inputs": [NaN]}'})
    assert told["example"] == {"inputs": [None]}
