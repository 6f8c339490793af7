"""Triton's own client, over HTTP and gRPC, blocking and asynchronous."""

from typing import Any

import numpy as np
import pytest

from tests.protocol.others.clients import Protocols, bearer
from tests.triton.client import Refused, Triton

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("protocols")]

WAYS = ("http", "grpc")
both = pytest.mark.parametrize("way", WAYS)
COLUMNS = {"a": np.array([0.5, 2.0]), "b": np.array([1.0, 3.0])}


class Client:
    """Triton's client of a server, with its key unless told otherwise."""

    def __init__(self, triton: Triton, protocols: Protocols) -> None:
        self.triton = triton
        self.addresses = {"http": protocols.http, "grpc": protocols.grpc}

    def call(self, way: str, method: str, *arguments: Any, **options: Any) -> Any:
        return self.triton.call(way, self.addresses[way], method, *arguments, **options)

    def infer(self, way: str, model: str, columns: dict[str, Any], **options: Any) -> Any:
        options = {"headers": bearer()} | options
        return self.triton.infer(way, self.addresses[way], model, columns, **options)


@pytest.fixture(scope="module")
def client(triton: Triton, protocols: Protocols) -> Client:
    return Client(triton, protocols)


@both
def test_the_server_is_live_and_ready_without_a_key(client: Client, way: str) -> None:
    assert client.call(way, "is_server_live")
    assert client.call(way, "is_server_ready")


@both
def test_a_model_is_ready_by_its_name(client: Client, way: str) -> None:
    assert client.call(way, "is_model_ready", "frame", headers=bearer())
    if way == "http":
        assert not client.call(way, "is_model_ready", "frame", "77", headers=bearer())


def test_the_metadata_is_that_of_the_signature(client: Client) -> None:
    assert client.call("http", "get_server_metadata", headers=bearer())["name"] == "cloche"
    told = client.call("http", "get_model_metadata", "scalars", headers=bearer())
    datatypes = {one["name"]: one["datatype"] for one in told["inputs"]}
    assert datatypes == {
        "a": "FP64", "b": "FP32", "c": "INT64", "d": "INT32", "e": "BOOL", "f": "BYTES"
    }  # fmt: skip


def test_the_metadata_is_the_same_over_grpc(client: Client) -> None:
    told = client.call("http", "get_model_metadata", "tensor", headers=bearer())
    asked = {"headers": bearer(), "as_json": True}
    other = client.call("grpc", "get_model_metadata", "tensor", **asked)
    assert client.call("grpc", "get_server_metadata", **asked)["name"] == "cloche"
    assert told["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]
    (tensor,) = other["inputs"]
    assert tensor == {"name": "input", "datatype": "FP64", "shape": ["-1", "2"]}


@both
def test_a_prediction_has_a_tensor_for_each_output(client: Client, way: str) -> None:
    result = client.infer(way, "frame", COLUMNS)
    assert result["outputs"]["prediction"].tolist() == [True, True]
    assert np.allclose(result["outputs"]["probability"], [0.15, 0.5])


@both
def test_the_id_comes_back(client: Client, way: str) -> None:
    assert client.infer(way, "frame", COLUMNS, request_id="mine")["id"] == "mine"


@both
def test_outputs_come_as_asked(client: Client, way: str) -> None:
    result = client.infer(way, "frame", COLUMNS, wanted={"probability": {}})
    assert result["outputs"].keys() == {"probability"}
    assert result["outputs"]["probability"].shape == (2,)


def test_outputs_come_as_json_where_bytes_are_not_wanted(client: Client) -> None:
    wanted = {"probability": {"binary_data": False}}
    assert client.infer("http", "frame", COLUMNS, wanted=wanted)["json"] == ["probability"]


def test_inputs_may_be_json(client: Client) -> None:
    result = client.infer("http", "frame", COLUMNS, binary=False)
    assert np.allclose(result["outputs"]["probability"], [0.15, 0.5])


@pytest.mark.parametrize("packing", [None, "gzip"])
def test_bodies_may_be_packed(client: Client, packing: str | None) -> None:
    columns = {name: np.tile(array, 500) for name, array in COLUMNS.items()}
    result = client.infer(
        "http", "frame", columns,
        request_compression_algorithm=packing, response_compression_algorithm=packing,
    )  # fmt: skip
    assert result["outputs"]["probability"].shape == (1000,)


@both
def test_parameters_are_the_models_params(client: Client, way: str) -> None:
    plain = client.infer(way, "params", COLUMNS)["outputs"]["predict"]
    tripled = client.infer(way, "params", COLUMNS, parameters={"factor": 6.0}, priority=1)
    assert tripled["outputs"]["predict"].tolist() == (plain * 3).tolist()


@both
@pytest.mark.parametrize(
    ("model", "columns", "words"),
    [
        ("nobody", COLUMNS, "name"),
        ("frame", {"a": COLUMNS["a"]}, "lacks input 'b'"),
        ("frame", COLUMNS | {"x": COLUMNS["a"]}, "does not take input 'x'"),
        ("frame", COLUMNS | {"b": np.array([b"x", b"y"], object)}, "Input 'b': expected FP64"),
        ("frame", COLUMNS | {"b": np.array([1.0])}, "'b' has 1"),
        ("tensor", {"any": np.array([[1.0]])}, "expected FP64 of shape [-1, 2]"),
        ("failing", COLUMNS | {"a": np.array([-1.0, 0])}, "The model failed"),
    ],
)
def test_a_mistake_is_told_by_its_tensor(
    client: Client, way: str, model: str, columns: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refused) as caught:
        client.infer(way, model, columns)
    assert words in caught.value.message
    unknown = model == "nobody"
    codes = {
        "http": ("404", "400"),
        "grpc": ("StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT"),
    }
    assert caught.value.status == codes[way][0 if unknown else 1]


@both
def test_a_version_that_is_not_loaded_is_not_found(client: Client, way: str) -> None:
    with pytest.raises(Refused, match="not loaded"):
        client.infer(way, "frame", COLUMNS, model_version="77")


def test_a_deadline_of_the_client_is_kept(client: Client) -> None:
    with pytest.raises(Refused, match=r"(?i)deadline"):
        client.infer("grpc", "frame", COLUMNS, client_timeout=1e-6)


def test_a_message_that_is_too_large_is_refused(client: Client) -> None:
    columns = {name: np.tile(array, 100_000) for name, array in COLUMNS.items()}
    with pytest.raises(Refused) as caught:
        client.infer("grpc", "frame", columns)
    assert caught.value.status == "StatusCode.RESOURCE_EXHAUSTED"


@both
def test_many_at_once_get_their_own_answers(client: Client, way: str) -> None:
    requests = [{"a": np.array([float(at)]), "b": np.array([0.0])} for at in range(20)]
    address = client.addresses[way]
    found = client.triton.infer_together(way, address, "frame", requests, bearer())
    probabilities = [result["outputs"]["probability"].tolist() for result in found]
    assert np.allclose(probabilities, [[at / 10] for at in range(20)])
