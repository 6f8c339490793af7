"""A twin answers only where its answer is the model's; everything else is left to the model."""

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.types import DataType

from cloche.serving.host.batch_predictors import TwinPredictor
from cloche.serving.host.codecs.mlflow import write_predictions
from cloche.serving.host.load import load
from cloche.serving.host.parsing.column_decoder import ColumnDecoder, Table
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.predictors.twin import Twin, TwinUnusable
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import Item
from tests.serving.host.twins import NAMES, TOLERANCE, ask, at_the_threshold, fitted, save


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(fitted(), tmp_path_factory.mktemp("version") / "model")


@pytest.fixture(scope="module")
def accelerated(version: Path) -> HostScorer:
    return load(version)[0]


@pytest.fixture(scope="module")
def plain(version: Path) -> HostScorer:
    return load(version, twin="")[0]


def test_rows_are_answered_by_the_twin(accelerated: HostScorer, version: Path) -> None:
    assert load(version)[1]["predictor"] == "onnx"
    assert load(version, twin="")[1]["predictor"] == "pyfunc"
    result = ask(accelerated, [[0.5, 30, "red"]], [[-3.0, 20, "blue"], [9.0, 80, "no such word"]])
    assert [json.loads(answer.body) for answer in result.answers] == [
        {"predictions": ["yes"]},
        {"predictions": ["no", "yes"]},
    ]
    assert result.accelerated_rows == 3


cells = st.tuples(
    st.floats(-1e100, 1e100),
    st.integers(-(2**60), 2**60),
    st.sampled_from(["red", "green", "blue", "", "RED", "a\0", "日本"]),
).map(list)


@given(st.lists(st.lists(cells, min_size=1, max_size=3), min_size=1, max_size=4))
def test_twin_and_model_give_the_same_answers(
    accelerated: HostScorer, plain: HostScorer, tables: list[list[list[Any]]]
) -> None:
    assert ask(accelerated, *tables).answers == ask(plain, *tables).answers


def test_without_the_package_onnx_a_twin_takes_texts_and_answers_the_same(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_codes = Twin.load(version, NAMES)
    monkeypatch.setitem(sys.modules, "onnx", None)
    by_texts = Twin.load(version, NAMES)
    assert by_codes is not None
    assert by_texts is not None
    assert (by_codes.vocabulary is None, by_texts.vocabulary is None) == (False, True)
    columns = [np.array([0.5, -3.0, 0.1]), np.array([30, 20, 9]), ["red", "no such", None]]
    one, other = by_codes.predict(columns), by_texts.predict(columns)
    assert one.sure.tolist() == other.sure.tolist() == [True, True, False]
    assert one.columns[0].tolist() == other.columns[0].tolist()


@pytest.mark.parametrize("nudge", [0.0, TOLERANCE, -TOLERANCE, 1.9 * TOLERANCE])
def test_a_row_near_the_threshold_is_left_to_the_model(
    accelerated: HostScorer, nudge: float
) -> None:
    sure, unsure = [5.0, 30, "red"], at_the_threshold(fitted(), nudge)
    assert ask(accelerated, [sure], [sure, unsure]).accelerated_rows == 1
    assert ask(accelerated, [at_the_threshold(fitted(), 5 * TOLERANCE)]).accelerated_rows == 1


@pytest.mark.parametrize(
    "row",
    [
        pytest.param([0.5, 2**53 + 1, "red"], id="an integer that a double cannot hold"),
        pytest.param([0.5, -(2**63), "red"], id="the smallest integer"),
        pytest.param([0.5, 30, None], id="a missing word without a stand-in"),
    ],
)
def test_what_the_tensors_cannot_hold_is_left_to_the_model(
    accelerated: HostScorer, row: list[Any]
) -> None:
    assert ask(accelerated, [row]).accelerated_rows == 0
    assert ask(accelerated, [[0.5, 30, "red"]], [row]).accelerated_rows == 1


def test_single_precision_tensors_take_only_what_they_hold(tmp_path: Path) -> None:
    scorer, _ = load(save(fitted(), tmp_path / "model", numbers="float"))
    assert ask(scorer, [[0.5, 30, "red"]]).accelerated_rows == 1
    assert ask(scorer, [[0.1, 30, "red"]]).accelerated_rows == 0
    assert ask(scorer, [[0.5, 2**24 + 1, "red"]]).accelerated_rows == 0


def test_requests_with_parameters_are_the_models(accelerated: HostScorer) -> None:
    body = {"dataframe_split": {"columns": NAMES, "data": [[0.5, 30, "red"]]}, "params": {"a": 1}}
    result = accelerated.score([Item("application/json", json.dumps(body).encode())])
    assert (result.answers[0].status, result.accelerated_rows) == (200, 0)


def split_items(index: Any, *tables: list[list[Any]]) -> list[Item]:
    """Requests with an id beside the columns of the model, and an index if it is not None."""
    extra = {} if index is None else {"index": index}
    return [
        Item("application/json", json.dumps({"dataframe_split": body | extra}).encode())
        for rows in tables
        for body in [{"columns": [*NAMES, "id"], "data": [[*row, "x"] for row in rows]}]
    ]


@pytest.mark.parametrize("index", [None, [0], [7], ["a"]])
def test_the_twin_answers_rows_with_an_id_and_an_index_as_the_model_does(
    accelerated: HostScorer, plain: HostScorer, index: Any
) -> None:
    unsure = at_the_threshold(fitted(), 0.0)
    items = split_items(index, [[0.5, 30, "red"]], [unsure], [[-3.0, 20, "blue"]])
    result = accelerated.score(items)
    assert result.accelerated_rows == 2
    assert result.answers == plain.score(items).answers
    assert [answer.status for answer in result.answers] == [200, 200, 200]


def test_a_request_with_an_index_joins_others_and_proves_a_version_as_any_example(
    version: Path,
) -> None:
    scorer, _ = load(version)
    (example,) = split_items([7, 8], [[0.5, 30, "red"], [-0.5, 60, "blue"]])
    scorer.drop_inexact_predictors(example)
    assert (scorer.can_join, scorer.accelerated) == (True, True)
    assert scorer.score([example] * 3).accelerated_rows == 6


def first_prediction(path: Path, row: list[Any]) -> Any:
    """What the twin at `path` says of one row."""
    twin = Twin.load(path, NAMES)
    assert twin is not None
    decoder = ColumnDecoder(NAMES, [DataType.double, DataType.long, DataType.string])
    (answer,) = TwinPredictor(twin, decoder).answer(
        [ParsedRequest(Table("key", [row]), write_predictions)]
    )
    assert answer is not None
    return json.loads(answer.body)["predictions"][0]


def test_answers_may_be_records_or_probabilities(tmp_path: Path) -> None:
    columns = [
        {"name": "prediction", "from": "label"},
        {"name": "100 %", "from": "probability", "class": 1},
    ]
    row = [0.5, 30, "red"]
    record = first_prediction(
        save(fitted(), tmp_path / "records", answer={"columns": columns}), row
    )
    no, yes = fitted().predict_proba(pd.DataFrame([row], columns=NAMES))[0]
    assert record["prediction"] == "yes"
    assert math.isclose(record["100 %"], yes, abs_tol=TOLERANCE)
    array = save(fitted(), tmp_path / "array", answer={"array": "probabilities"})
    assert first_prediction(array, row) == pytest.approx([no, yes], abs=TOLERANCE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 2}, "format is 2, not 1"),
        ({"sha256": "0" * 64}, "not the one that was proven"),
        ({"inputs": [{"name": "dose", "column": "weight", "tensor": "double"}]}, "not whole"),
        ({"inputs": [{"name": "dose", "column": "dose", "tensor": "quaternion"}]}, "not whole"),
    ],
)  # fmt: skip
def test_a_twin_that_cannot_be_trusted_is_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    path = save(fitted(), tmp_path / "model", **changes)
    with pytest.raises(TwinUnusable, match=reason):
        Twin.load(path, NAMES)
    assert load(path)[1]["predictor"] == "pyfunc"


def test_a_torn_graph_is_refused(tmp_path: Path) -> None:
    torn = b"not a graph"
    path = save(fitted(), tmp_path / "model", sha256=hashlib.sha256(torn).hexdigest())
    (path / "onnx" / "model.onnx").write_bytes(torn)
    with pytest.raises(TwinUnusable, match="cannot run"):
        Twin.load(path, NAMES)


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (None, 3)])
def test_a_twin_gets_the_threads_that_its_proof_holds_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Any, given: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    made: list[Any] = []

    class Noted(onnxruntime.InferenceSession):
        def __init__(self, graph: bytes, options: Any, **rest: Any) -> None:
            made.append(options.intra_op_num_threads)
            super().__init__(graph, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Noted)

    assert Twin.load(save(fitted(), tmp_path / "model", threads=asked), NAMES) is not None
    assert made == [given]


def test_without_onnxruntime_or_with_another_twin_than_the_registry_names_the_model_answers(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = hashlib.sha256((version / "onnx" / "twin.json").read_bytes()).hexdigest()
    assert Twin.load(version, NAMES, named) is not None
    with pytest.raises(TwinUnusable, match="not the one that the registry names"):
        Twin.load(version, NAMES, "0" * 64)
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(TwinUnusable, match="pip install onnxruntime"):
        Twin.load(version, NAMES)


def test_a_twin_that_contradicts_the_model_does_not_serve(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(fitted(), tmp_path / "model", classes=["yes", "no"])
    assert load(path)[1]["predictor"] == "pyfunc"
    assert "input example" in caplog.text
