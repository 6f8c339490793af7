"""The same bytes to MLflow's own application and to a model host.

The same status, the same predictions.

DIFFERENCES lists everything that may differ.
"""

import asyncio
import json
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import pytest
from mlflow.pyfunc import PyFuncModel, scoring_server

from serving.host.frames import TEXT_BODY, Answer, Item
from serving.host.scoring import Scorer
from tests.protocol.bodies import BY_KIND, CONTENT_TYPES, MALFORMED, Body, numbers

KINDS = [
    "array",
    "array_column",
    "binary",
    "chat",
    "datetime",
    "failing",
    "frame",
    "integers",
    "labels_predict",
    "labels_predict_proba",
    "map_column",
    "named_outputs",
    "named_tensors",
    "names_predict",
    "nan",
    "no_signature",
    "object_column",
    "optional",
    "params",
    "records",
    "regression_predict",
    "scalars",
    "series",
    "tensor",
    "text_predict",
    "type_hints",
    "unnamed",
    "unwritable",
    "wrong_count",
]


class Reply(NamedTuple):
    status: int
    body: bytes


class Difference(NamedTuple):
    mlflow: int
    cloche: int
    reason: str


DIFFERENCES = [
    Difference(500, 400, "A body that cannot be read is the client's mistake, not the server's."),
    Difference(500, 415, "So is a request without a content type."),
]


@cache
def load(path: Path) -> PyFuncModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mlflow.pyfunc.load_model(str(path))


def ask_mlflow(app: Any, body: Body) -> Reply:
    """What the application of `mlflow models serve` answers."""
    content_type, content = body
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", content_type.encode())] if content_type else []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/invocations",
        "raw_path": b"/invocations",
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "client": ("t", 1),
        "server": ("t", 80),
    }
    try:
        asyncio.run(app(scope, receive, send))
    except Exception:  # noqa: BLE001  # the server turns it into a 500
        return Reply(500, b"")
    return Reply(sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:]))


def ask_host(scorer: Scorer, body: Body) -> Answer:
    return scorer.score([Item(*body)]).answers[0]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What models and pandas warn about while they are given nonsense does not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def bodies_for(kind: str) -> list[Body]:
    return BY_KIND.get(kind, numbers()) + MALFORMED + CONTENT_TYPES


def test_the_zoo_holds_exactly_the_kinds_that_are_compared(zoo: Path) -> None:
    assert sorted(path.name for path in zoo.iterdir()) == sorted(KINDS)


def test_status_and_predictions_are_those_of_mlflow(zoo: Path, kind: str) -> None:
    model = load(zoo / kind)
    app, scorer = scoring_server.init(model), Scorer(model)
    allowed = {(one.mlflow, one.cloche) for one in DIFFERENCES}
    wrong = []
    for body in bodies_for(kind):
        theirs, ours = ask_mlflow(app, body), ask_host(scorer, body)
        if theirs.status == ours.status:
            if theirs.status == 200 and theirs.body != ours.body:
                wrong.append((body, theirs, ours))
        elif (theirs.status, ours.status) not in allowed:
            wrong.append((body, theirs, ours))
    assert not wrong


def test_an_error_keeps_its_code_and_shows_no_payload_and_no_trace(zoo: Path, kind: str) -> None:
    model = load(zoo / kind)
    app, scorer = scoring_server.init(model), Scorer(model)
    for body in bodies_for(kind):
        ours = ask_host(scorer, body)
        if ours.status == 200:
            continue
        assert b"secret" not in ours.body
        assert b"Traceback" not in ours.body
        if ours.body_type == TEXT_BODY:
            assert ours.status == 415
            continue
        error = json.loads(ours.body)
        assert error.keys() == {"error_code", "message"}
        theirs = ask_mlflow(app, body)
        if theirs.status == ours.status and theirs.body.startswith(b"{"):
            assert error["error_code"] == json.loads(theirs.body)["error_code"]


def test_neighbours_in_a_batch_change_nothing(zoo: Path, kind: str) -> None:
    scorer = Scorer(load(zoo / kind))
    sent = bodies_for(kind)
    together = scorer.score([Item(*body) for body in sent]).answers
    wrong = [
        (body, alone, joined)
        for body, joined in zip(sent, together, strict=True)
        if (alone := ask_host(scorer, body)) != joined
    ]
    assert not wrong
