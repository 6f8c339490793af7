"""What every door answers to the same rows is what `/invocations` answers.

The bodies are made and read by Triton's own client.
"""

import json
import math
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import pytest
from tritonclient import grpc as triton_grpc
from tritonclient import http as triton_http
from tritonclient.grpc import service_pb2
from tritonclient.utils import np_to_triton_dtype

from serving.host.frames import Answer, Door, Item
from serving.host.plan import compile_plan
from serving.host.scoring import Scorer
from tests.protocol.doors.questions import QUESTIONS, Arrays, invocation

pytestmark = pytest.mark.xdist_group("doors-exact")


class Way(NamedTuple):
    """How a door is asked, and how its answer is read."""

    ask: Callable[[Arrays], Item]
    read: Callable[[Answer], Any]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What models and pandas warn about does not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def scorer(path: Path) -> Scorer:
    model = mlflow.pyfunc.load_model(str(path))
    return Scorer(model, compile_plan(model.metadata), twin=None, name="m", version="3")


def invocations(kind: str, arrays: Arrays) -> Item:
    return Item("application/json", json.dumps(invocation(kind, arrays)).encode())


def v2(arrays: Arrays, *, binary: bool) -> Item:
    inputs = []
    for name, array in arrays.items():
        inputs.append(triton_http.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array, binary_data=binary)
    body, size = triton_http.InferenceServerClient.generate_request_body(inputs)
    if not binary:  # the client asks for bytes unless it names the outputs
        body = json.dumps({"inputs": json.loads(body)["inputs"]}).encode()
    return Item("", body, door=Door.V2, json_size=size or 0)


def read_v2(answer: Answer) -> Any:
    result = triton_http.InferenceServerClient.parse_response_body(
        answer.body, header_length=answer.json_size or None
    )
    names = [output["name"] for output in result.get_response()["outputs"]]
    return predictions({name: result.as_numpy(name) for name in names})


def grpc(arrays: Arrays) -> Item:
    request = service_pb2.ModelInferRequest(model_name="m")
    for name, array in arrays.items():
        one = triton_grpc.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        one.set_data_from_numpy(array)
        request.inputs.append(one._get_tensor())
        request.raw_input_contents.append(one._get_content())
    return Item("", request.SerializeToString(), door=Door.GRPC)


def read_grpc(answer: Answer) -> Any:
    result = triton_grpc.InferResult(service_pb2.ModelInferResponse.FromString(answer.body))
    names = [output.name for output in result.get_response().outputs]
    return predictions({name: result.as_numpy(name) for name in names})


def predictions(outputs: dict[str, Any]) -> Any:
    """Tensors in the form that MLflow gives predictions."""
    lists = {
        name: [_plain(cell) for cell in array.tolist()] if array.dtype == object else array.tolist()
        for name, array in outputs.items()
    }
    if lists.keys() == {"predict"}:
        return lists["predict"]
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _plain(cell: Any) -> Any:
    """What text stands for, where it is JSON."""
    text = cell.decode() if isinstance(cell, bytes) else cell
    try:
        return json.loads(text)
    except ValueError:
        return text


def v1(arrays: Arrays) -> Item:
    rows = zip(*(array.tolist() for array in arrays.values()), strict=True)
    body = {"instances": [dict(zip(arrays, row, strict=True)) for row in rows]}
    return Item("application/json", json.dumps(body).encode(), door=Door.V1)


def read_v1(answer: Answer) -> Any:
    return json.loads(answer.body)["predictions"]


def torchserve(arrays: Arrays) -> Item:
    return invocations("array", arrays)._replace(door=Door.TORCHSERVE, content_type="")


V2_WAYS = {
    "json": Way(lambda arrays: v2(arrays, binary=False), read_v2),
    "binary": Way(lambda arrays: v2(arrays, binary=True), read_v2),
    "grpc": Way(grpc, read_grpc),
}


def same(one: Any, other: Any) -> bool:
    """Whether two parsed answers are equal; a number that is missing equals itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


def told(path: Path, item: Item) -> Answer:
    (answer,) = scorer(path).score([item]).answers
    assert answer.status == 200, answer.body
    return answer


def expected(path: Path, kind: str, arrays: Arrays) -> Any:
    found = json.loads(told(path, invocations(kind, arrays)).body)["predictions"]
    if kind == "series":  # records of an output whose name says nothing
        return [next(iter(row.values())) for row in found]
    if kind == "named_outputs":
        return [{"total": total, "rows": found["rows"]} for total in found["total"]]
    return found


@pytest.mark.parametrize("way", V2_WAYS)
@pytest.mark.parametrize(("kind", "at", "arrays"), QUESTIONS)
def test_v2_predicts_what_invocations_predicts(
    zoo: Path, kind: str, at: int, arrays: Arrays, way: str
) -> None:
    ask, read = V2_WAYS[way]
    found = read(told(zoo / kind, ask(arrays)))
    assert same(found, expected(zoo / kind, kind, arrays))
