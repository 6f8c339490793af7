"""A refused request is sent again as the refusal advises, and is answered."""

import io
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.types import ColSpec, TensorSpec
from mlflow.types.schema import Array, Map, Object, Property

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.host.codecs.open_inference.output_tensors import OutputTensor
from cloche.serving.host.parsing.content_types import CSV, JSON, PARQUET
from cloche.serving.processes.frames import Item
from tests import advice
from tests.broken_servers import answering, nothing
from tests.serving.host.test_diagnosis import refusal, scorer
from tests.shell import program

pytestmark = pytest.mark.filterwarnings("ignore")

NUMBERS = (ColSpec("double", "a"), ColSpec("double", "b"))
MAPS = (ColSpec(Map("double"), "m"),)
LISTS = (ColSpec(Array(Array("double")), "m"),)
TENSOR = (TensorSpec(np.dtype("float64"), (-1, 2), "x"),)
ROWS = [[1.5, 2.5], [3.5, 4.5]]
RECORDS = [dict(zip("ab", row, strict=True)) for row in ROWS]
FRAME = pd.DataFrame(RECORDS)


def answered(specs: Any, body: Any, content_type: str = JSON, protocol: str = "mlflow") -> int:
    """How many rows are answered."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    (answer,) = scorer(*specs).score([Item(content_type, content, "", protocol)]).answers
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


@pytest.mark.parametrize("protocol", ["mlflow", "tf_serving", "torchserve"])
def test_rows_of_a_model_without_a_signature_are_listed_or_it_gets_one(protocol):
    row = RECORDS[0]
    said = refusal(scorer(), {"instances": row}, protocol=protocol)["message"]
    assert "Send a list with an object by name for each row, or log the model with a sig" in said
    assert answered((), {"instances": [row]}, protocol=protocol)
    assert answered(NUMBERS, {"instances": row}, protocol=protocol) == 1


@pytest.mark.parametrize("odd", BODIES)
def test_a_body_in_the_form_that_is_advised_is_answered(odd):
    specs, body, pattern, mend = BODIES[odd]
    said = refusal(scorer(*specs), body)["message"]
    found = advice.text_of(pattern, said)
    assert answered(specs, mend(found)) == 2


@pytest.mark.parametrize("protocol", ["mlflow", "tf_serving", "torchserve"])
@pytest.mark.parametrize("layout", ["instances", "inputs"])
def test_rows_are_sent_by_name_as_it_is_advised_in_each_protocol(layout, protocol):
    said = refusal(scorer(*NUMBERS), {layout: ROWS}, protocol=protocol)["message"]
    assert said.endswith("Send each row as an object by name.")
    assert answered(NUMBERS, {layout: RECORDS}, protocol=protocol) == 2


def test_a_table_for_a_tensor_is_sent_as_it_is_advised():
    said = refusal(scorer(*TENSOR), FRAME.to_csv(index=False).encode(), CSV)["message"]
    layout = re.search(r"send JSON with (\w+)\.$", said)[1]
    assert answered(TENSOR, {layout: {"x": ROWS}})


def test_an_output_is_asked_for_without_what_is_not_offered():
    tensors = [{"name": name, "datatype": "FP64", "shape": [2], "data": ROWS[0]} for name in "ab"]
    wanted = {"name": "predict", "parameters": {"classification": 3}}
    said = refusal(
        scorer(*NUMBERS), {"inputs": tensors, "outputs": [wanted]}, protocol="open_inference"
    )
    assert "Ask for the output without it" in said["message"]
    del wanted["parameters"]
    assert (
        answered(NUMBERS, {"inputs": tensors, "outputs": [wanted]}, protocol="open_inference") == 1
    )


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

    def take(handler: Any, body: bytes) -> None:
        bodies.append(body)
        nothing(handler, body)

    with answering(take) as url:
        yield url, bodies


@pytest.mark.parametrize("kind", [CSV, PARQUET])
def test_a_file_that_curl_changed_is_sent_by_the_command_that_is_advised(kind, taking, tmp_path):
    program("curl", "curl")
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
    output = OutputTensor("x", "INT64", (2,), values)
    with pytest.raises(RequestRefused, match="ask over HTTP, without binary_data"):
        output.dense()
    assert output.elements() == [None, 2**53 + 1]


@pytest.mark.parametrize(
    ("body", "kind"),
    [({"instances": RECORDS, "rows": 1}, "parameters"), (RECORDS, "instances"), ({}, "inputs")],
)
def test_a_body_of_v1_is_given_the_members_that_are_named(body, kind):
    said = refusal(scorer(*NUMBERS), body, protocol="tf_serving")["message"]
    assert kind in said
    mended = {"instances": RECORDS, "parameters": {}} if kind == "parameters" else {kind: RECORDS}
    assert answered(NUMBERS, mended, protocol="tf_serving") == 2


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
    said = refusal(scorer(*columns), {"inputs": [tensor]}, protocol="open_inference")["message"]
    found = advice.text_of(pattern, said)
    tensor[member] = mend(found)
    assert answered(columns, {"inputs": [tensor]}, protocol="open_inference")


MLFLOW, V1, V2, GRPC = "mlflow", "tf_serving", "open_inference", "open_inference_grpc"
X, TEXT = (ColSpec("double", "x"),), (ColSpec("string", "x"),)
BARE = (ColSpec("double"), ColSpec("double"))  # columns without names
NESTED = (ColSpec(Object([Property("k", "long")]), "x"),)
BINARY = np.array([1.5, 2.5]).tobytes()


def v2(*tail: bytes, **change: Any) -> Any:
    """A request with a tensor; `...` leaves a member out, and bytes may follow."""
    told = {"name": "x", "datatype": "FP64", "shape": [2], "data": [1.5, 2.5], **change}
    body = {"inputs": [{name: value for name, value in told.items() if value is not ...}]}
    return (body, *tail) if tail else body


def raw(tail: bytes, size: int = 0, **change: Any) -> Any:
    return v2(tail, data=..., parameters={"binary_data_size": size or len(tail)}, **change)


def proto(*names: str, raw: Any = (), kind: str = "FP64", **contents: Any) -> bytes:
    one = {"datatype": kind, "shape": [2], "contents": contents}
    given = [{"name": name, **one} for name in names or ("x",)]
    request = message("ModelInferRequest")(inputs=given, raw_input_contents=raw)
    return bytes(request.SerializeToString())


FP64 = {"fp64_contents": [1.5, 2.5]}
# The model's columns, the protocol, a request, what is said, and the request that is sent then.
FORMS: dict[str, tuple[Any, Any, str, Any]] = {
    "a list": (NUMBERS, MLFLOW, RECORDS, r"an object with one of .*(dataframe_records)",
               lambda name: {name: RECORDS}),
    "records by column": (NUMBERS, MLFLOW, {"dataframe_records": {"a": [1.5], "b": [2.5]}},
                          "a list with an object for each row", {"dataframe_records": RECORDS}),
    "one row as a list": (NUMBERS, MLFLOW, {"dataframe_records": [RECORDS[0], ROWS[1]]},
                          "Row 1 .* must be an object as the others",
                          {"dataframe_records": RECORDS}),
    "an index": (
        NUMBERS, MLFLOW, {"dataframe_split": {"columns": ["a", "b"], "data": ROWS, "index": [0]}},
        r"must be a list of (\d), one a row",
        lambda n: {"dataframe_split": {"data": ROWS, "columns": ["a", "b"],
                                       "index": [*"xyz"[: int(n)]]}},
    ),
    "a column of another name": (NUMBERS, MLFLOW, {"inputs": [{"a": 1.5, "bb": 2.5}]},
                                 r"lacks column '(\w)'",
                                 lambda name: {"inputs": [{"a": 1.5, name: 2.5}]}),
    "no rows": (BARE, MLFLOW, {"instances": []}, r"a list of rows with (\d) cells each",
                lambda width: {"instances": [[1.5] * int(width)]}),
    "a list of objects for a tensor": ((TensorSpec(np.dtype("float64"), (-1, 2)),), MLFLOW,
                                       {"instances": RECORDS}, "must be nested lists",
                                       {"instances": ROWS}),
    "a shape of a tensor": (TENSOR, MLFLOW, {"inputs": {"x": [[1.5]]}},
                            r"of shape \[n, (\d)\], found shape",
                            lambda width: {"inputs": {"x": [[1.5] * int(width)]}}),
    "params": (X, MLFLOW, {"inputs": [{"x": 1.5}], "params": [2]}, "must be an object",
               {"inputs": [{"x": 1.5}], "params": {"factor": 2.5}}),
    "a parameter": (X, MLFLOW, {"inputs": [{"x": 1.5}], "params": {"steps": 1.5}},
                    r"expected a list of .*long",
                    {"inputs": [{"x": 1.5}], "params": {"steps": [1]}}),
    "a property": (NESTED, MLFLOW, {"inputs": [{"x": {"j": 1}}]}, r"property '(\w)' is missing",
                   lambda name: {"inputs": [{"x": {name: 1}}]}),
    "another property": (NESTED, MLFLOW, {"inputs": [{"x": {"k": 1, "l": 1}}]}, r"there are '(\w)'",
                         lambda name: {"inputs": [{"x": {name: 1}}]}),
    "CSV without a header": (X, MLFLOW, b" ", "a header with the names of the columns",
                             b"x\n1.5\n"),
    "CSV with an open quote": (X, MLFLOW, b'x\n1.5\n"2.5\n', "look at its quotes",
                               b'x\n1.5\n"2.5"\n'),
    "CSV with few columns": (BARE, MLFLOW, b"a\n1\n", r"takes (\d) columns; there are 1",
                             lambda width: b"a,b\n1,2\n" if width == "2" else b""),
    "a list at V1": (NUMBERS, V1, RECORDS, r"exactly one of (\w+)",
                     lambda layout: {layout: RECORDS}),
    "one row at V1": (MAPS, V1, {"instances": 1.5}, "Expected a list of rows",
                      {"instances": [{"m": {"k": 1.5}}]}),
    "a short row at V1": (
        (*MAPS, *X), V1, {"instances": [[{"k": 1.5}]]}, r"expected columns '(\w)', '(\w)'",
        lambda *names: {"instances": [dict(zip(names, [{"k": 1.5}, 2.5], strict=True))]},
    ),
    "a list at V2": (X, V2, [1.5], r"an object with the list (\w+);",
                     lambda name: {name: v2()["inputs"]}),
    "no inputs": (X, V2, {"data": [1.5]},
                  "inputs, a list of objects with name, shape, datatype and data", v2()),
    "numbers for inputs": (X, V2, {"inputs": [1.5]}, "Each of inputs must be an object with", v2()),
    "another name": (X, V2, v2(name="z"), r"lacks input '(\w)'", lambda x: v2(name=x)),
    "one name more": (X, V2, {"inputs": [*v2()["inputs"], *v2(name="z")["inputs"]]},
                      r"it takes input '(\w)'\.", lambda name: v2(name=name)),
    "an id": (X, V2, v2() | {"id": 5}, "must be a string", v2() | {"id": "5"}),
    "parameters": (X, V2, v2(parameters=[]), "must be an object", v2(parameters={})),
    "outputs": (X, V2, v2() | {"outputs": ["x"]}, "a list of objects with a name",
                v2() | {"outputs": [{"name": "predict"}]}),
    "an output": (X, V2, v2() | {"outputs": [{"name": "y"}]}, r"it has '(\w+)'",
                  lambda name: v2() | {"outputs": [{"name": name}]}),
    "a matrix": (X, V2, v2(shape=[1, 2]), r"FP64 of shape \[n\] or \[n, (1)\]",
                 lambda one: v2(shape=[2, int(one)])),
    "too large for its datatype": ((ColSpec("float", "x"),), V2,
                                   v2(datatype="FP32", data=[1e39, 1]), "not within FP32",
                                   v2(datatype="FP32", data=[1e38, 1])),
    "too large, for a double": (X, V2, v2(datatype="FP32", data=[1e39, 1]), "not within FP32",
                                v2(datatype="FP64", data=[1e39, 1])),
    "too large, for a tensor": ((TensorSpec(np.dtype("float32"), (-1,), "x"),), V2,
                                v2(datatype="FP32", data=[1e39, 1]), "not within FP32",
                                v2(datatype="FP32", data=[1e38, 1])),
    "beyond what FP64 holds": (X, V2, v2(datatype="INT64", shape=[65], data=[2**60 + 1] * 65),
                               "beyond 2.53, where FP64",
                               v2(datatype="INT64", shape=[65], data=[2**53] * 65)),
    "no base64": ((ColSpec("binary", "x"),), V2, v2(datatype="BYTES", data=["?", "x"]),
                  "not base64", v2(datatype="BYTES", data=["QQ==", "QQ=="])),
    "no JSON": (MAPS, V2, v2(name="m", datatype="BYTES", data=["k", "{}"]), "not JSON",
                v2(name="m", datatype="BYTES", data=['{"k": 1.5}', "{}"])),
    "a gap in a tensor": ((TensorSpec(np.dtype("str"), (-1,), "x"),), V2,
                          v2(datatype="BYTES", data=["a", None]), "an element is missing",
                          v2(datatype="BYTES", data=["a", ""])),
    "twice at once": (X, V2, v2(BINARY, parameters={"binary_data_size": 16}),
                      "both data and binary_data_size", raw(BINARY)),
    "more bytes than follow": (X, V2, raw(BINARY, 99), "must be a number of bytes that follow",
                               raw(BINARY)),
    "too few bytes": (X, V2, raw(BINARY[8:]), r"of shape \[2\] has (\d+) bytes, not 8",
                      lambda size: raw(BINARY, int(size))),
    "texts without their lengths": (
        TEXT, V2, raw(b"ab", datatype="BYTES"), r"each after its length in (\d) bytes",
        lambda n: raw(b"".join(len(t).to_bytes(int(n), "little") + t for t in (b"a", b"b")),
                      datatype="BYTES"),
    ),
    "twice at gRPC": (X, GRPC, proto(raw=[BINARY], **FP64), "contents must be empty",
                      proto(raw=[BINARY])),
    "bytes of one more": (X, GRPC, proto(raw=[BINARY] * 2), "one element for each of inputs",
                          proto(raw=[BINARY])),
    "another field": (X, GRPC, proto(fp32_contents=[1.5, 2.5]), r"belongs into (\w+),",
                      lambda field: proto(**{field: [1.5, 2.5]})),
    "a datatype without a field": (
        X, GRPC, proto(kind="FP16"), r"must be in (raw)_input_contents\.",
        lambda name: proto(kind="FP16", **{name: [np.array([1.5, 2.5], "<f2").tobytes()]}),
    ),
    "two fields": (X, GRPC, proto(fp32_contents=[1.5, 2.5], **FP64),
                   "belongs into fp64_contents, not fp32", proto(**FP64)),
    "too few in the field": (X, GRPC, proto(fp64_contents=[1.5]),
                             r"has (\d) elements, and fp64_contents 1",
                             lambda n: proto(fp64_contents=[1.5] * int(n))),
}  # fmt: skip


@pytest.mark.parametrize("odd", FORMS)
def test_a_request_is_given_the_form_that_it_must_have(odd):
    specs, protocol, wrong, said, right = FORMS[odd]

    def ask(body: Any) -> tuple[int, str]:
        head, tail = body if isinstance(body, tuple) else (body, b"")
        content = head if isinstance(head, bytes) else json.dumps(head).encode()
        kind = CSV if isinstance(head, bytes) and protocol is MLFLOW else JSON
        item = Item(kind, content + tail, "", protocol, len(content) if tail else 0)
        (answer,) = scorer(*specs).score([item]).answers
        return answer.status, bytes(answer.body).decode(errors="replace")

    status, text = ask(wrong)
    found = re.search(said, text.replace('\\"', '"'))
    assert (status, found is not None) == (400, True), text
    status, text = ask(right(*found.groups()) if callable(right) else right)
    assert status == 200, text
