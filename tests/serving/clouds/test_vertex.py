"""Bodies as Vertex AI sends them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.cloud_contract import CloudRequest
from cloche.serving.clouds.discovery import find

read = find({"AIP_HTTP_PORT": "8080"}).contract.dialect
JSON = st.recursive(st.none() | st.integers() | st.text(), st.lists)


def translated(body: bytes, content_type: str = "application/json") -> bytes:
    return read(CloudRequest(content_type, ""), body, []).body


@given(st.lists(JSON), st.dictionaries(st.text(), JSON))
def test_parameters_become_params_and_the_instances_stay(instances, parameters):
    body = json.dumps({"instances": instances, "parameters": parameters}).encode()

    assert json.loads(translated(body)) == {"instances": instances, "params": parameters}


def test_params_of_mlflow_go_before():
    body = b'{"instances": [], "params": {"a": 1}, "parameters": {"a": 2}}'

    assert json.loads(translated(body)) == {"instances": [], "params": {"a": 1}}


@given(st.binary())
def test_everything_else_is_left_as_it_is(body):
    assert translated(body) == body
    assert translated(b'"parameters"' + body, "text/csv") == b'"parameters"' + body


def test_a_column_may_have_the_name():
    body = b'{"instances": [{"parameters": 3}]}'

    assert json.loads(translated(body)) == json.loads(body)
