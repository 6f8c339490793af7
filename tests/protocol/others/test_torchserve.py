"""TorchServe's inference API, as its documentation has it."""

import pytest

from tests.protocol.others.clients import Protocols

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("protocols")]

BODY = b'{"instances": [{"a": 0.5, "b": 1.0}]}'


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", ""])
def test_the_answer_is_the_models_output_unwrapped(
    protocols: Protocols, method: str, kind: str
) -> None:
    headers = {"content-type": kind} if kind else {}
    response = protocols.ask("/predictions/frame", data=BODY, headers=headers, method=method)
    assert [row["prediction"] for row in response.json()] == [True]


def test_a_table_is_read_by_its_type(protocols: Protocols) -> None:
    headers = {"content-type": "text/csv"}
    response = protocols.ask("/predictions/frame", data=b"a,b\n0.5,1\n2,3\n", headers=headers)
    assert [row["prediction"] for row in response.json()] == [True, True]


@pytest.mark.parametrize(
    ("path", "kind", "status", "name"),
    [
        ("/predictions/nobody", "application/json", 404, "ModelNotFoundException"),
        ("/predictions/frame/77", "application/json", 404, "ModelNotFoundException"),
        ("/predictions/frame", "image/png", 415, "UnsupportedMediaTypeException"),
        ("/predictions/failing", "application/json", 400, "BadRequestException"),
    ],
)
def test_an_error_has_its_form(
    protocols: Protocols, path: str, kind: str, status: int, name: str
) -> None:
    headers = {"content-type": kind}
    response = protocols.ask(path, data=b'{"instances": [{"a": -1, "b": 0}]}', headers=headers)
    told = response.json()
    assert (response.status_code, told["code"], told["type"]) == (status, status, name)
    assert told["message"]
