"""A twin may answer before its model is there: what it is sure of, and nothing else."""

import copy
import json
import socket
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from cloche.serving.host import frameworks, loop
from cloche.serving.processes.frames import FrameReader, Item, Kind, batch, control, read_result
from tests.serving.host.twins import NAMES, at_the_threshold, fitted, save

HERE = {"proof": {"versions": {"onnxruntime": version("onnxruntime")}}}
PATIENCE = 60.0


class Front:
    """A front that talks to the loop of a host; the model loads when `may_load` is set."""

    def __init__(self, may_load: threading.Event) -> None:
        self.may_load = may_load
        self._ours, self._theirs = socket.socketpair()
        self._ours.settimeout(PATIENCE)
        self._reader, self._frames = FrameReader(), list[tuple[Kind, Any]]()
        self._host = threading.Thread(target=loop.serve, args=(self._theirs,))
        self._host.start()

    def load(self, path: Path, *, early: bool = True) -> tuple[Kind, dict[str, Any]]:
        told = {
            "path": str(path), "twin": "any", "twin_first": early, "low_priority": False,
            "stays_low": False, "as_stage": False,
            "model": "m", "version": "1",
        }  # fmt: skip
        self._ours.sendall(control(Kind.LOAD, told))
        return self.hear_control()

    def ask(self, *rows: list[Any]) -> None:
        body = json.dumps({"dataframe_split": {"columns": NAMES, "data": rows}}).encode()
        self._ours.sendall(batch([Item("application/json", body)]))

    def hear(self) -> tuple[Kind, Any]:
        while not self._frames:
            self._frames += self._reader.feed(self._ours.recv(1 << 16))
        return self._frames.pop(0)

    def hear_control(self) -> tuple[Kind, dict[str, Any]]:
        kind, payload = self.hear()
        return kind, json.loads(bytes(payload))

    def hear_predictions(self) -> tuple[list[str], int]:
        kind, payload = self.hear()
        assert kind is Kind.RESULT
        result = read_result(payload)
        return json.loads(result.answers[0].body)["predictions"], result.accelerated_rows

    def close(self) -> None:
        self.may_load.set()
        self._ours.close()
        self._host.join(PATIENCE)
        self._theirs.close()


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    may_load, load = threading.Event(), frameworks.load

    def load_when_told(path: Path) -> Any:
        assert may_load.wait(PATIENCE)
        return load(path)

    monkeypatch.setattr(frameworks, "load", load_when_told)
    front = Front(may_load)
    yield front
    front.close()


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(fitted(), tmp_path_factory.mktemp("early") / "model", **HERE)


def test_the_twin_answers_before_the_model_is_there(front: Front, proven: Path) -> None:
    kind, told = front.load(proven)
    assert (kind, told["predictor"]) == (Kind.TWIN_READY, "onnx")
    front.ask([0.5, 30, "red"])
    assert front.hear_predictions() == (["yes"], 1)
    front.may_load.set()
    kind, later = front.hear_control()
    assert (kind, later) == (Kind.READY, told)
    front.ask([-3.0, 20, "blue"])
    assert front.hear_predictions() == (["no"], 1)


def test_what_the_twin_is_not_sure_of_waits_for_the_model(front: Front, proven: Path) -> None:
    front.load(proven)
    front.ask(at_the_threshold(fitted(), 0.0))
    front.may_load.set()
    answered = [front.hear() for _ in range(2)]
    assert {kind for kind, _ in answered} == {Kind.READY, Kind.RESULT}
    (payload,) = [payload for kind, payload in answered if kind is Kind.RESULT]
    result = read_result(payload)
    assert (result.answers[0].status, result.accelerated_rows) == (200, 0)


def test_a_model_that_cannot_be_loaded_is_told_although_its_twin_answers(
    front: Front, proven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> Any:
        front.may_load.wait(PATIENCE)
        raise ImportError("No module named skops")

    monkeypatch.setattr(frameworks, "load", fail)
    assert front.load(proven)[0] is Kind.TWIN_READY
    front.may_load.set()
    assert front.hear_control() == (Kind.FAILED, {"reason": "ImportError: No module named skops"})


@pytest.mark.parametrize(
    ("proof", "early"),
    [({}, True), ({"proof": {"versions": {"onnxruntime": "1.0"}}}, True), (HERE, False)],
    ids=["not proven", "proven elsewhere", "not asked for"],
)
def test_other_twins_wait_for_their_model(
    front: Front, tmp_path: Path, proof: dict[str, Any], early: bool
) -> None:
    front.may_load.set()
    path = save(fitted(), tmp_path / "model", **proof)
    assert front.load(path, early=early)[0] is Kind.READY


def test_a_twin_that_its_model_contradicts_is_given_up(front: Front, tmp_path: Path) -> None:
    other = copy.deepcopy(fitted())
    other[-1].coef_ = -other[-1].coef_  # what the twin does not know of
    path = save(fitted(), tmp_path / "model", **HERE)
    twin = {name: (path / "onnx" / name).read_bytes() for name in ("model.onnx", "twin.json")}
    wrong = save(other, tmp_path / "other", **HERE)
    for name, content in twin.items():
        (wrong / "onnx" / name).write_bytes(content)
    kind, told = front.load(wrong)
    assert (kind, told["predictor"]) == (Kind.TWIN_READY, "onnx")
    front.may_load.set()
    kind, told = front.hear_control()
    assert (kind, told["predictor"]) == (Kind.READY, "pyfunc")
    front.ask([0.5, 30, "red"])
    assert front.hear_predictions() == (["no"], 0)
