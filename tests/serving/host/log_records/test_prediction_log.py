"""What a host logs of a batch: each answered row once, with what may be kept and nothing else."""

import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec, Schema

from cloche.serving.host.log_records.prediction_log import PredictionLog
from cloche.serving.host.parsing.column_decoder import compile_decoder
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import Answer, Item, LogCounts, LogNote
from cloche.serving.spool.counters import read_counts
from cloche.serving.spool.log_plan import ALL_INPUTS, LogPlan, derived_key
from cloche.serving.spool.segment import TakenSegment, array_of

SECRET = b"a secret of some length"
SIGNATURE = ModelSignature(
    Schema([ColSpec("string", "who"), ColSpec("double", "a"), ColSpec("long", "n")])
)
HOUR = 3_600_000_000
JSON, CSV = "application/json", "text/csv"


class Doubles:
    """Answers twice the number `a`, in a shape; fails for negative ones."""

    def __init__(self, shape: Callable[[list[float]], Any]) -> None:
        self._shape = shape

    def predict(self, rows: Any) -> Any:
        if (rows["a"] < 0).any():
            raise ValueError(f"negative: {rows['a'].tolist()}")
        return self._shape([2 * cell for cell in rows["a"]])


class Host:
    """A scorer with a log in a folder of its own."""

    def __init__(self, folder: Path, shape: Callable[[list[float]], Any] = list, **plan: Any):
        self.folder = folder / "spool"
        told = LogPlan(folder=str(self.folder), server="s", key=SECRET, **plan)
        self.log = PredictionLog(LogPlan.from_json(
            json.loads(json.dumps(told.for_version("m", "1", "d").to_json()))
        ))  # fmt: skip
        model = PyFuncModel(Model(signature=SIGNATURE), Doubles(shape))
        self.log.capture_inputs(model)
        decoder = compile_decoder(model.metadata, self.log.sent)
        self.scorer = HostScorer(model, decoder, None, log=self.log)

    def score(self, *items: Item) -> tuple[list[Answer], LogCounts]:
        result = self.scorer.score(items)
        return result.answers, self.log.before_answer(result.predict_seconds)

    def records(self) -> Iterator[list[Any]]:
        for place in sorted(self.folder.glob("*.segment")):
            taken = TakenSegment.take(place)
            assert taken is not None
            with taken:
                yield from taken.records()

    def counts(self) -> dict[str, int]:
        (place,) = self.folder.glob("*.counts")
        (row,) = read_counts(place)["counts"]
        return {name: count for name, count in row.items() if type(count) is int and count}

    def bytes(self) -> bytes:
        return b"".join(place.read_bytes() for place in self.folder.iterdir())


def item(
    name: str, *rows: tuple[str, float, int], kind: str = JSON, **note: Any
) -> Item:  # fmt: skip
    columns = SIGNATURE.inputs.input_names()
    body = json.dumps({"dataframe_split": {"columns": columns, "data": rows}})
    if kind == CSV:
        body = "\n".join(",".join(map(str, row)) for row in [columns, *rows]) + "\n"
    return Item(kind, body.encode(), name, log=LogNote(HOUR, **note))


def cells(column: Any) -> list[Any]:
    """The cells of a column of a record."""
    typed = array_of(column)
    return list(column) if typed is None else np.frombuffer(typed[1], typed[0]).tolist()


def test_joined_requests_share_a_record_and_their_rows_are_in_order(tmp_path: Path) -> None:
    host = Host(tmp_path, inputs=ALL_INPUTS)
    about = {"prediction_id": b"p", "arm": 1, "attempt": 2, "queue_us": 7}
    _, told = host.score(item("x", ("é", 1.0, 1), ("b", 2.0, 2)), item("y", ("c", 3.0, 3), **about))
    ((requests, inputs, outputs),) = host.records()
    model_us = requests[0][11]
    assert requests == [
        ["x", HOUR, 2, 200, "", "model", "production", "mlflow", 1, 1.0, 0, model_us, None, None],
        ["y", HOUR, 1, 200, "", "model", "canary", "mlflow", 2, 1.0, 7, model_us, "p", None],
    ]
    assert {name: cells(column) for name, column in inputs.items()} == {
        "who": ["é", "b", "c"], "a": [1.0, 2.0, 3.0], "n": [1, 2, 3],
    }  # fmt: skip
    assert cells(outputs[""]) == [2.0, 4.0, 6.0]
    assert told == LogCounts(3)
    assert host.counts() == {"hour": 1, "computed": 3, "logged": 3}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (list, {"": [2.0, 4.0]}),
        (np.array, {"": [2.0, 4.0]}),
        (pd.Series, {"": [2.0, 4.0]}),
        (lambda found: pd.DataFrame({"p": found, "q": "é"}), {"p": [2.0, 4.0], "q": ["é", "é"]}),
        (lambda found: np.array([found, found]).T, {"": [2.0, 2.0, 4.0, 4.0]}),
        (lambda found: [{"p": one} for one in found], {"p": [2.0, 4.0]}),
        (lambda found: [[one] for one in found], {"": ["[2.0]", "[4.0]"]}),
        (lambda found: {"all": found}, {"all": [2.0, 4.0]}),
        (lambda _: "a text for all", {"": ["a text for all", None]}),
        (lambda _: np.array([1.0, 2.0, 3.0]), {"": ["[1.0, 2.0, 3.0]", None]}),
    ],
)
def test_a_request_scored_alone_is_logged_as_the_model_got_and_answered_it(
    tmp_path: Path, shape: Callable[[list[float]], Any], expected: dict[str, list[Any]]
) -> None:
    host = Host(tmp_path, shape, inputs=ALL_INPUTS)
    answers, _ = host.score(item("x", ("a", 1.0, 1), ("b", 2.0, 2), kind=CSV))
    assert [answer.status for answer in answers] == [200]
    ((requests, inputs, outputs),) = host.records()
    assert requests[0][:6] == ["x", HOUR, 2, 200, "", "model"]
    assert cells(inputs["n"]) == [1, 2]
    assert cells(inputs["who"]) == ["a", "b"]
    assert {name: cells(column) for name, column in outputs.items()} == expected


def test_a_refusal_and_a_failure_are_rows_without_their_values(tmp_path: Path) -> None:
    host = Host(tmp_path, inputs=ALL_INPUTS)
    answers, told = host.score(item("x", ("secret", -7.25, 1)), item("y", ("secret", 1.5, "n")))
    assert [answer.status for answer in answers] == [400, 400]
    found = [(*request[:6], rest) for requests, *rest in host.records() for request in requests]
    assert found == [
        ("x", HOUR, 0, 400, "MODEL_FAILED", None, [None, None]),
        ("y", HOUR, 0, 400, "BAD_REQUEST", None, [None, None]),
    ]
    assert told == LogCounts(2)
    assert not any(text in host.bytes() for text in (b"secret", b"7.25"))


@pytest.mark.parametrize("kind", [JSON, CSV])
def test_columns_that_are_not_named_are_nowhere_and_hashed_ones_only_as_hashes(
    tmp_path: Path, kind: str
) -> None:
    host = Host(tmp_path, inputs=("n", "a"), hashed=("n",), id_column="n", subject="who")
    host.score(item("x", ("Grace Hopper", 1.0, 123456789), ("Ada", 2.0, 5), kind=kind))
    ((requests, inputs, _),) = host.records()
    key = derived_key(SECRET, "m")
    hashes = [hmac.digest(key, text, "sha256").hex() for text in (b"123456789", b"5")]
    assert inputs.keys() == {"n", "a"}
    assert inputs["n"] == requests[0][12] == hashes
    assert requests[0][13] == [
        hmac.digest(key, text, "sha256").hex() for text in (b"Grace Hopper", b"Ada")
    ]
    raw = (
        (123456789).to_bytes(8, "little"),
        b"123456789",
        b"Hopper",
        SECRET,
        key,
        key.hex().encode(),
    )
    assert not any(text in host.bytes() for text in raw)


def records(name: str, *ids: Any, **note: Any) -> Item:
    """A request by record, with an order beside the columns of the model."""
    rows = [{"who": "é", "a": 1.0, "n": 1, "order": one, "person": f"p{one}"} for one in ids]
    body = json.dumps({"dataframe_records": rows}).encode()
    return Item(JSON, body, name, log=LogNote(HOUR, **note))


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        ((7, 8), ["7", "8"]), (("a", None), ["a", None]), ((0.5, 1.0), ["0.5", "1.0"]),
        ((2**70, 1), [str(2**70), "1"]), ((True, False), ["True", "False"]),
        ((7, "a"), ["7", "a"]),  # these are scored alone
    ],
)  # fmt: skip
def test_an_id_that_the_model_does_not_take_is_logged_as_it_was_sent(
    tmp_path: Path, ids: tuple[Any, ...], texts: list[str | None]
) -> None:
    host = Host(tmp_path, inputs=ALL_INPUTS, id_column="order", subject="person")
    host.score(records("x", *ids), records("y", *ids), item("z", ("a", 1.0, 1), prediction_id=b"p"))
    found = [(request[0], *request[12:]) for requests, *_ in host.records() for request in requests]
    key = derived_key(SECRET, "m")
    hashes = [hmac.digest(key, f"p{one}".encode(), "sha256").hex() for one in ids]
    assert sorted(found) == [("x", texts, hashes), ("y", texts, hashes), ("z", "p", None)]
    logged = [name for _, inputs, _ in host.records() for name in inputs]
    assert set(logged) == {"who", "a", "n"}


def test_joined_requests_with_an_id_share_a_record(tmp_path: Path) -> None:
    host = Host(tmp_path, id_column="order")
    host.score(records("x", 1, 2), records("y", 3), records("z", 4))
    ((requests, _, outputs),) = host.records()
    assert [request[12] for request in requests] == [["1", "2"], ["3"], ["4"]]
    assert cells(outputs[""]) == [2.0] * 4


def test_a_sample_is_chosen_by_the_id_of_the_request_and_every_row_says_the_share(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path, inputs=ALL_INPUTS, sample=0.25)
    names = [f"r{number}" for number in range(400)]
    for start in range(0, 400, 40):
        host.score(*(item(name, ("a", float(name[1:]), 1)) for name in names[start : start + 40]))
    kept = [request[0] for requests, *_ in host.records() for request in requests]
    scored = [cell for *_, outputs in host.records() for cell in cells(outputs[""])]
    assert 60 < len(kept) < 140
    assert scored == [2.0 * float(name[1:]) for name in kept]
    assert {request[9] for requests, *_ in host.records() for request in requests} == {0.25}
    assert host.counts() == {
        "hour": 1, "computed": 400, "logged": len(kept), "sampled_out": 400 - len(kept),
    }  # fmt: skip
    again = Host(tmp_path / "again", sample=0.25)
    again.score(*(item(name, ("a", 1.0, 1)) for name in names))
    assert [request[0] for requests, *_ in again.records() for request in requests] == kept


def test_what_has_no_room_is_dropped_and_counted_and_answered_all_the_same(tmp_path: Path) -> None:
    host = Host(tmp_path, inputs=ALL_INPUTS, spool_bytes=2000)
    rows = [("a" * 100, 1.0, 1)] * 10
    told = [host.score(item("x", *rows))[1] for _ in range(3)]
    assert told == [LogCounts(10), LogCounts(spool_full=10), LogCounts(spool_full=10)]
    assert host.counts() == {"hour": 1, "computed": 30, "logged": 10, "dropped: spool full": 20}


def test_a_prediction_that_cannot_be_read_is_counted_and_answered(tmp_path: Path) -> None:
    host = Host(tmp_path, inputs=ALL_INPUTS)
    host.log._hash = lambda _: 1 / 0  # type: ignore[assignment]
    host.log._hashed = frozenset({"who"})
    answers, told = host.score(item("x", ("a", 1.0, 1)))
    assert [answer.status for answer in answers] == [200]
    assert told == LogCounts(error=1)
    assert host.counts() == {"hour": 1, "computed": 1, "dropped: error": 1}


def test_what_nobody_promised_is_written_after_the_answer(tmp_path: Path) -> None:
    host = Host(tmp_path, promise="best-effort")
    _, told = host.score(item("x", ("a", 1.0, 1)))
    assert told == LogCounts()
    assert not list(host.records())
    host.log.write(0.0)
    assert [requests[0][0] for requests, *_ in host.records()] == ["x"]
    assert host.log.before_answer(0.0) == LogCounts(1)


def test_a_request_without_a_note_is_not_logged(tmp_path: Path) -> None:
    host = Host(tmp_path, inputs=ALL_INPUTS)
    example = item("example", ("a", 9.0, 1))._replace(log=None)
    host.score(example, item("x", ("b", 1.0, 2)), example)
    ((requests, inputs, outputs),) = host.records()
    assert [request[0] for request in requests] == ["x"]
    assert (cells(inputs["a"]), cells(outputs[""])) == ([1.0], [2.0])
