"""Bodies as Vertex AI sends them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.cloud_contract import CloudRequest
from cloche.serving.clouds.discovery import find

read = find({"AIP_HTTP_PORT": "8080"}).contract.dialect
JSON = st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)


def translated(body: bytes, content_type: str = "application/json") -> bytes:
    return read(CloudRequest(content_type, ""), body, []).body


@given(st.lists(JSON), st.dictionaries(st.text(), JSON))
def test_parameters_become_params_and_the_instances_stay(instances, parameters):
    body = json.dumps({"instances": instances, "parameters": parameters}).encode()
    assert json.loads(translated(body)) == {"instances": instances, "params": parameters}


@pytest.mark.parametrize(
    ("body", "translation"),
    [
        (b'{"instances": [], "params": {"a": 1}, "parameters": {"a": 2}}',
         {"instances": [], "params": {"a": 1}}),
        (b'{"instances": [{"parameters": 3}]}', {"instances": [{"parameters": 3}]}),
    ],
    ids=["params of MLflow go before", "a column may have the name"],
)  # fmt: skip
def test_what_has_the_name_of_parameters_is_not_mistaken(body, translation):
    assert json.loads(translated(body)) == translation


@given(st.binary())
def test_everything_else_is_left_as_it_is(body):
    assert translated(body) == body
    assert translated(b'"parameters"' + body, "text/csv") == b'"parameters"' + body
