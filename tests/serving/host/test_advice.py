"""A refused request is sent again as the refusal advises, and is answered."""

import io
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.types import ColSpec, TensorSpec
from mlflow.types.schema import Array, Map

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.codecs.tensors import Output
from cloche.serving.host.parsing.content_types import CSV, JSON, PARQUET
from cloche.serving.processes.frames import Door, Item
from tests import advice
from tests.serving.host.test_diagnosis import refusal, scorer

pytestmark = pytest.mark.filterwarnings("ignore")

NUMBERS = (ColSpec("double", "a"), ColSpec("double", "b"))
MAPS = (ColSpec(Map("double"), "m"),)
LISTS = (ColSpec(Array(Array("double")), "m"),)
TENSOR = (TensorSpec(np.dtype("float64"), (-1, 2), "x"),)
ROWS = [[1.5, 2.5], [3.5, 4.5]]
RECORDS = [dict(zip("ab", row, strict=True)) for row in ROWS]
FRAME = pd.DataFrame(RECORDS)


def answered(specs: Any, body: Any, content_type: str = JSON, door: Door = Door.MLFLOW) -> int:
    """How many rows are answered."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    (answer,) = scorer(*specs).score([Item(content_type, content, "", door)]).answers
    assert answer.status == 200, bytes(answer.body)
    document = json.loads(bytes(answer.body))
    if isinstance(document, list):  # as TorchServe has it
        return len(document)
    return len(document.get("predictions") or document["outputs"])


# The model's columns, a body, what is said, and the body that is sent then.
BODIES: dict[str, tuple[Any, Any, str, Callable[[str], Any]]] = {
    "cells without names": (
        NUMBERS, {"dataframe_split": {"data": ROWS}},
        r"add the names of the cells, .* The model takes columns (.*)\.",
        lambda names: {"dataframe_split": {
            "columns": re.findall(r"\w+", names), "data": ROWS}},
    ),
    "lists of lists as instances": (
        LISTS, {"instances": [{"m": [[1.5]]}, {"m": [[2.5], [3.5]]}]},
        r"send the same rows as (dataframe_records)",
        lambda layout: {layout: [{"m": [[1.5]]}, {"m": [[2.5], [3.5]]}]},
    ),
    "maps by column": (
        MAPS, {"inputs": {"m": [{"k": 1.5}, {"j": 2.5}]}}, r"send several as (dataframe_records)",
        lambda layout: {layout: [{"m": {"k": 1.5}}, {"m": {"j": 2.5}}]},
    ),
    "an unknown layout": (
        NUMBERS, {"rows": RECORDS}, r"must hold (?:\w+, )*(dataframe_records)",
        lambda layout: {layout: RECORDS},
    ),
    "a split without data": (
        NUMBERS, {"dataframe_split": ROWS}, r"such as (\{.*\});",
        lambda form: {"dataframe_split": json.loads(
            form.replace('"columns": [...]', '"columns": ["a", "b"]')
                .replace('"data": [[...], ...]', f'"data": {ROWS}'))},
    ),
}  # fmt: skip


@pytest.mark.parametrize("odd", BODIES)
def test_a_body_in_the_form_that_is_advised_is_answered(odd):
    specs, body, pattern, mend = BODIES[odd]
    said = refusal(scorer(*specs), body)["message"]
    found = advice.part(pattern, said)
    assert answered(specs, mend(found)) == 2


@pytest.mark.parametrize("door", [Door.MLFLOW, Door.V1, Door.TORCHSERVE])
@pytest.mark.parametrize("layout", ["instances", "inputs"])
def test_rows_are_sent_by_name_as_it_is_advised_at_each_door(layout, door):
    said = refusal(scorer(*NUMBERS), {layout: ROWS}, door=door)["message"]
    assert said.endswith("Send each row as an object by name.")
    assert answered(NUMBERS, {layout: RECORDS}, door=door) == 2


def test_a_table_for_a_tensor_is_sent_as_it_is_advised():
    said = refusal(scorer(*TENSOR), FRAME.to_csv(index=False).encode(), CSV)["message"]
    layout = re.search(r"send JSON with (\w+)\.$", said)[1]
    assert answered(TENSOR, {layout: {"x": ROWS}})


def test_an_output_is_asked_for_without_what_is_not_offered():
    tensors = [{"name": name, "datatype": "FP64", "shape": [2], "data": ROWS[0]} for name in "ab"]
    wanted = {"name": "predict", "parameters": {"classification": 3}}
    said = refusal(scorer(*NUMBERS), {"inputs": tensors, "outputs": [wanted]}, door=Door.V2)
    assert "Ask for the output without it" in said["message"]
    del wanted["parameters"]
    assert answered(NUMBERS, {"inputs": tensors, "outputs": [wanted]}, door=Door.V2) == 1


def test_a_file_is_converted_as_it_is_advised(tmp_path):
    columns = (ColSpec("string", "이름"),)
    file = tmp_path / "rows.csv"
    file.write_text("이름\n가\n나\n", encoding="cp949")
    said = refusal(scorer(*columns), file.read_bytes(), CSV)["message"]
    command, encoding = re.search(r"`(iconv .*)` converts .* like (\w+) ", said).groups()
    typed = shlex.split(command.replace("NAME", encoding).replace("FILE", str(file)))
    converted = subprocess.run(typed, check=True, capture_output=True).stdout
    assert answered(columns, converted, CSV) == 2


@pytest.fixture
def taking() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server, and the bodies that it was sent."""
    bodies: list[bytes] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()


@pytest.mark.parametrize("kind", [CSV, PARQUET])
def test_a_file_that_curl_changed_is_sent_by_the_command_that_is_advised(kind, taking, tmp_path):
    url, bodies = taking
    file: Path = tmp_path / "rows"
    packed = io.BytesIO()
    FRAME.to_parquet(packed)
    file.write_bytes(FRAME.to_csv(index=False).encode() if kind == CSV else packed.getvalue())

    def send(command: str) -> bytes:
        typed = shlex.split(command.replace("FILE", str(file)))
        subprocess.run([*typed, "--silent", url], check=True)
        return bodies.pop()

    said = refusal(scorer(*NUMBERS), send("curl -d @FILE"), kind)["message"]
    advised = re.findall(r"`(curl --data-binary @FILE)`", said)
    assert answered(NUMBERS, send(advised[0]), kind) == 2


def test_what_no_binary_tensor_holds_is_asked_for_as_json():
    values = np.array([None, 2**53 + 1], dtype=object)
    output = Output("x", "INT64", (2,), values)
    with pytest.raises(RequestRefused, match="ask over HTTP, without binary_data"):
        output.dense()
    assert output.elements() == [None, 2**53 + 1]


@pytest.mark.parametrize(
    ("body", "kind"),
    [({"instances": RECORDS, "rows": 1}, "parameters"), (RECORDS, "instances"), ({}, "inputs")],
)
def test_a_body_of_v1_is_given_the_members_that_are_named(body, kind):
    said = refusal(scorer(*NUMBERS), body, door=Door.V1)["message"]
    assert kind in said
    mended = {"instances": RECORDS, "parameters": {}} if kind == "parameters" else {kind: RECORDS}
    assert answered(NUMBERS, mended, door=Door.V1) == 2


# A tensor's mistake, what is said of it, and the member that is given then.
TENSORS: dict[str, tuple[dict[str, Any], str, str, Callable[[str], Any]]] = {
    "a shape": ({"shape": "2"}, r"shape must be (a list of whole numbers)", "shape", lambda _: [2]),
    "a datatype": ({"datatype": "DOUBLE"}, r"must be one of .*\b(FP64)\b", "datatype", str),
    "no list": ({"data": 1.5}, r"data must be (a list);", "data", lambda _: [1.5, 2.5]),
    "too few": ({"data": [1.5]}, r"has (\d) elements, not 1", "data", lambda n: [1.5] * int(n)),
    "a text": ({"data": [1.5, "x"]}, r"expected (FP64), found", "data", lambda _: [1.5, 2.5]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", TENSORS)
def test_a_tensor_is_made_what_it_must_be(mistake):
    change, pattern, member, mend = TENSORS[mistake]
    columns = (ColSpec("double", "x"),)
    tensor = {"name": "x", "datatype": "FP64", "shape": [2], "data": [1.5, 2.5], **change}
    said = refusal(scorer(*columns), {"inputs": [tensor]}, door=Door.V2)["message"]
    found = advice.part(pattern, said)
    tensor[member] = mend(found)
    assert answered(columns, {"inputs": [tensor]}, door=Door.V2)
