"""Triton's own client, over HTTP and gRPC, blocking and asynchronous."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.protocol.doors.clients import Doors, bearer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("doors")]

LIBRARIES = {"http": tritonclient.http, "grpc": tritonclient.grpc}
both = pytest.mark.parametrize("way", LIBRARIES)
COLUMNS = {"a": np.array([0.5, 2.0]), "b": np.array([1.0, 3.0])}
NUMBERS = {"a": "FP64", "b": "FP64"}


@contextmanager
def connected(doors: Doors, way: str) -> Iterator[Any]:
    address = doors.http if way == "http" else doors.grpc
    with LIBRARIES[way].InferenceServerClient(address) as client:
        yield client


def inputs(library: ModuleType, columns: dict[str, Any], **options: Any) -> list[Any]:
    found = []
    for name, array in columns.items():
        found.append(library.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
        found[-1].set_data_from_numpy(array, **options)
    return found


def infer(doors: Doors, way: str, model: str, columns: dict[str, Any], **options: Any) -> Any:
    with connected(doors, way) as client:
        return client.infer(model, inputs(LIBRARIES[way], columns), headers=bearer(), **options)


@both
def test_the_server_is_live_and_ready_without_a_key(doors: Doors, way: str) -> None:
    with connected(doors, way) as client:
        assert client.is_server_live()
        assert client.is_server_ready()


@both
def test_a_model_is_ready_by_its_name(doors: Doors, way: str) -> None:
    with connected(doors, way) as client:
        assert client.is_model_ready("frame", headers=bearer())
        if way == "http":
            assert not client.is_model_ready("frame", "77", headers=bearer())


def test_the_metadata_is_that_of_the_signature(doors: Doors) -> None:
    with connected(doors, "http") as client:
        assert client.get_server_metadata(headers=bearer())["name"] == "cloche"
        told = client.get_model_metadata("scalars", headers=bearer())
    datatypes = {one["name"]: one["datatype"] for one in told["inputs"]}
    assert datatypes == {
        "a": "FP64", "b": "FP32", "c": "INT64", "d": "INT32", "e": "BOOL", "f": "BYTES"
    }  # fmt: skip


def test_the_metadata_is_the_same_over_grpc(doors: Doors) -> None:
    with connected(doors, "http") as client:
        told = client.get_model_metadata("tensor", headers=bearer())
    with connected(doors, "grpc") as client:
        other = client.get_model_metadata("tensor", headers=bearer(), as_json=True)
        assert client.get_server_metadata(headers=bearer()).name == "cloche"
    assert told["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]
    (tensor,) = other["inputs"]
    assert tensor == {"name": "input", "datatype": "FP64", "shape": ["-1", "2"]}


@both
def test_a_prediction_has_a_tensor_for_each_output(doors: Doors, way: str) -> None:
    result = infer(doors, way, "frame", COLUMNS)
    assert result.as_numpy("prediction").tolist() == [True, True]
    assert np.allclose(result.as_numpy("probability"), [0.15, 0.5])


@both
def test_the_id_comes_back(doors: Doors, way: str) -> None:
    response = infer(doors, way, "frame", COLUMNS, request_id="mine").get_response()
    assert (response["id"] if way == "http" else response.id) == "mine"


@both
def test_outputs_come_as_asked(doors: Doors, way: str) -> None:
    wanted = [LIBRARIES[way].InferRequestedOutput("probability")]
    result = infer(doors, way, "frame", COLUMNS, outputs=wanted)
    assert result.as_numpy("prediction") is None
    assert result.as_numpy("probability").shape == (2,)


def test_outputs_come_as_json_where_bytes_are_not_wanted(doors: Doors) -> None:
    wanted = [tritonclient.http.InferRequestedOutput("probability", binary_data=False)]
    result = infer(doors, "http", "frame", COLUMNS, outputs=wanted)
    assert "data" in result.get_output("probability")


def test_inputs_may_be_json(doors: Doors) -> None:
    with connected(doors, "http") as client:
        asked = inputs(tritonclient.http, COLUMNS, binary_data=False)
        result = client.infer("frame", asked, headers=bearer())
    assert np.allclose(result.as_numpy("probability"), [0.15, 0.5])


@pytest.mark.parametrize("packing", [None, "gzip"])
def test_bodies_may_be_packed(doors: Doors, packing: str | None) -> None:
    columns = {name: np.tile(array, 500) for name, array in COLUMNS.items()}
    result = infer(
        doors, "http", "frame", columns,
        request_compression_algorithm=packing, response_compression_algorithm=packing,
    )  # fmt: skip
    assert result.as_numpy("probability").shape == (1000,)


@both
def test_parameters_are_the_models_params(doors: Doors, way: str) -> None:
    plain = infer(doors, way, "params", COLUMNS).as_numpy("predict")
    tripled = infer(doors, way, "params", COLUMNS, parameters={"factor": 6.0}, priority=1)
    assert tripled.as_numpy("predict").tolist() == (plain * 3).tolist()


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
    doors: Doors, way: str, model: str, columns: dict[str, Any], words: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        infer(doors, way, model, columns)
    assert words in caught.value.message()
    unknown = model == "nobody"
    codes = {
        "http": ("404", "400"),
        "grpc": ("StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT"),
    }
    assert caught.value.status() == codes[way][0 if unknown else 1]


@both
def test_a_version_that_is_not_loaded_is_not_found(doors: Doors, way: str) -> None:
    with pytest.raises(InferenceServerException, match="not loaded"):
        infer(doors, way, "frame", COLUMNS, model_version="77")


@both
def test_a_key_is_asked_for(doors: Doors, way: str) -> None:
    with connected(doors, way) as client, pytest.raises(InferenceServerException, match="API key"):
        client.infer("frame", inputs(LIBRARIES[way], COLUMNS))


def test_a_deadline_of_the_client_is_kept(doors: Doors) -> None:
    with pytest.raises(InferenceServerException, match=r"(?i)deadline"):
        infer(doors, "grpc", "frame", COLUMNS, client_timeout=1e-6)


def test_a_message_that_is_too_large_is_refused(doors: Doors) -> None:
    columns = {name: np.tile(array, 100_000) for name, array in COLUMNS.items()}
    with pytest.raises(InferenceServerException) as caught:
        infer(doors, "grpc", "frame", columns)
    assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"


async def ask_together(library: Any, address: str, count: int) -> list[list[float]]:
    async with library.InferenceServerClient(address) as client:
        asked = [
            client.infer("frame", inputs(library, columns), headers=bearer())
            for columns in (
                {"a": np.array([float(at)]), "b": np.array([0.0])} for at in range(count)
            )
        ]
        results = await asyncio.gather(*asked)
    return [result.as_numpy("probability").tolist() for result in results]


@pytest.mark.parametrize(
    ("library", "address"),
    [
        (tritonclient.http.aio, lambda doors: doors.http),
        (tritonclient.grpc.aio, lambda doors: doors.grpc),
    ],
    ids=["http", "grpc"],
)
def test_many_at_once_get_their_own_answers(
    doors: Doors, library: Any, address: Callable[[Doors], str]
) -> None:
    found = asyncio.run(ask_together(library, address(doors), 20))
    assert np.allclose(found, [[at / 10] for at in range(20)])


def test_requests_of_all_doors_are_counted_alike(doors: Doors) -> None:
    before = doors.server.metric("cloche_requests_total", model="frame", code="200")
    for way in LIBRARIES:
        infer(doors, way, "frame", COLUMNS)
    after = doors.server.metric("cloche_requests_total", model="frame", code="200")
    assert after == before + 2
