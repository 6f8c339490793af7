"""What every protocol answers to the same rows is what `/invocations` answers.

The bodies are made and read by Triton's own client.
"""

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import mlflow
import numpy as np
import pytest

from cloche.serving.host.parsing.column_decoder import compile_decoder
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import Answer, Item
from tests.protocol.others.questions import COLUMNS, QUESTIONS, Arrays, invocation
from tests.triton.client import Triton

# what models and pandas warn about does not matter here
pytestmark = [pytest.mark.xdist_group("protocols-exact"), pytest.mark.filterwarnings("ignore")]


class Way(NamedTuple):
    """How a protocol is asked, and how its answer is read."""

    ask: Callable[[Triton, Arrays], Item]
    read: Callable[[Triton, Answer], Any]


@cache
def scorer(path: Path) -> HostScorer:
    model = mlflow.pyfunc.load_model(str(path))
    return HostScorer(model, compile_decoder(model.metadata), twin=None, name="m", version="3")


def v2(triton: Triton, arrays: Arrays, *, binary: bool) -> Item:
    body, size = triton.http_body(arrays, binary=binary)
    return Item("", body, protocol="open_inference", json_size=size)


def read_v2(triton: Triton, answer: Answer) -> Any:
    return predictions(triton.read_http(answer.body, answer.json_size))


def grpc(triton: Triton, arrays: Arrays) -> Item:
    return Item("", triton.grpc_message("m", arrays), protocol="open_inference_grpc")


def read_grpc(triton: Triton, answer: Answer) -> Any:
    return predictions(triton.read_grpc(answer.body))


def predictions(outputs: dict[str, Any]) -> dict[str, list[Any]]:
    """Tensors as lists by name; what is JSON in text, as what it stands for."""
    return {
        name: [_plain(cell) for cell in array.tolist()] if array.dtype == object else array.tolist()
        for name, array in outputs.items()
    }


def _plain(cell: Any) -> Any:
    """What text stands for, where it is JSON."""
    text = cell.decode() if isinstance(cell, bytes) else cell
    try:
        return json.loads(text)
    except ValueError:
        return text


V2_WAYS = {
    "json": Way(lambda triton, arrays: v2(triton, arrays, binary=False), read_v2),
    "binary": Way(lambda triton, arrays: v2(triton, arrays, binary=True), read_v2),
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


def by_output(found: Any, *, bare: bool) -> dict[str, list[Any]]:
    """What MLflow gives, by output; `bare` for an output without a name."""
    if isinstance(found, dict):
        return {
            name: cells if isinstance(cells, list) else [cells] for name, cells in found.items()
        }
    if bare or not isinstance(found[0], dict):
        return {"predict": [unnamed(row) for row in found]}
    return {name: [row[name] for row in found] for name in found[0]}


def unnamed(row: Any) -> Any:
    """A row of an output whose name says nothing: MLflow calls that of a series 0."""
    return next(iter(row.values())) if isinstance(row, dict) else row


def to_invocations(path: Path, body: Any) -> Answer:
    item = Item("application/json", json.dumps(body).encode())
    return scorer(path).score([item]).answers[0]


@pytest.mark.parametrize(("kind", "arrays"), QUESTIONS)
def test_v2_predicts_what_invocations_predicts(
    zoo: Path, triton: Triton, kind: str, arrays: Arrays
) -> None:
    answer = to_invocations(zoo / kind, invocation(kind, arrays))
    expected = by_output(json.loads(answer.body)["predictions"], bare=kind == "series")
    for way, (ask, read) in V2_WAYS.items():
        for _ in range(2):  # the second way of asking is known by then
            assert same(read(triton, told(zoo / kind, ask(triton, arrays))), expected), way


def rows_of(arrays: Arrays) -> list[dict[str, Any]]:
    cells = zip(*(array.tolist() for array in arrays.values()), strict=True)
    return [dict(zip(arrays, row, strict=True)) for row in cells]


each_table = pytest.mark.parametrize(
    ("kind", "arrays"), [one for one in QUESTIONS if one.values[0] in COLUMNS]
)


@each_table
def test_v1_predicts_what_invocations_predicts(zoo: Path, kind: str, arrays: Arrays) -> None:
    body = {"instances": rows_of(arrays)}
    answer = to_invocations(zoo / kind, body)
    item = Item("", json.dumps(body).encode(), protocol="tf_serving")
    (found,) = scorer(zoo / kind).score([item]).answers
    if answer.status != found.status:  # MLflow makes arrays of instances; lists in columns are none
        answer = to_invocations(zoo / kind, invocation(kind, arrays))
    assert found.status == answer.status
    if found.status == 200:
        rows = json.loads(answer.body)["predictions"]
        expected = [unnamed(row) for row in rows] if kind == "series" else rows
        assert same(json.loads(found.body), {"predictions": expected})


@each_table
def test_torchserve_gives_the_bare_predictions(zoo: Path, kind: str, arrays: Arrays) -> None:
    body = invocation(kind, arrays)
    answer = to_invocations(zoo / kind, body)
    item = Item("", json.dumps(body).encode(), protocol="torchserve")
    found = told(zoo / kind, item)
    assert same(json.loads(found.body), json.loads(answer.body)["predictions"])


def test_requests_of_all_protocols_share_a_batch(zoo: Path, triton: Triton) -> None:
    one, other = ({"a": np.array([a]), "b": np.array([1.0])} for a in (2.0, 3.0))
    seen: list[int] = []
    served = scorer(zoo / "array")
    predict = served._instrumented.predict_enforced

    def count(frame: Any, params: Any) -> Any:
        seen.append(len(frame))
        return predict(frame, params)

    items = [
        Item("application/json", json.dumps(invocation("array", one)).encode()),
        v2(triton, other, binary=True),
        grpc(triton, {"a": np.arange(20.0), "b": np.arange(20.0)}),
        Item("", json.dumps({"instances": rows_of(one)}).encode(), protocol="tf_serving"),
    ]
    with mock.patch.object(served._instrumented, "predict_enforced", count):
        answers = served.score(items).answers
    assert seen == [23]
    assert json.loads(answers[0].body) == {"predictions": [3.0]}
    assert read_v2(triton, answers[1]) == {"predict": [4.0]}
    assert read_grpc(triton, answers[2]) == {"predict": [at * 2.0 for at in range(20)]}
    assert json.loads(answers[3].body) == {"predictions": [3.0]}
