"""What the documents describe is taken: V2's metadata, that of V1, and /openapi.json.

A request is built from what they say about a signature of any kind, and sent by every protocol to
a model that tells what it was given.
"""

import base64
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.model import PythonModel, _PythonModelPyfuncWrapper
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, Map, Object, Property
from mlflow.types.type_hints import _infer_schema_from_list_type_hint

from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.host.codecs.open_inference.tensors import BYTES, DTYPES
from cloche.serving.host.parsing.column_decoder import compile_decoder
from cloche.serving.host.parsing.content_types import JSON
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import Item
from cloche.serving.protocols import tf_serving
from cloche.serving.protocols.json_schema import request_schema
from cloche.serving.protocols.open_inference import tensors

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint", "ignore:no explicit representation")

ROWS = 2


class Echo(PythonModel):
    """Tells each row that it was given."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[str]:
        return told(model_input)


def told(given: Any) -> list[str]:
    if isinstance(given, dict):
        return [f"{ {name: values[at] for name, values in given.items()}!r}" for at in range(ROWS)]
    if isinstance(given, pd.DataFrame):
        rows = given.astype(object).to_numpy().tolist()
        return [f"{[*given.dtypes]} {row!r}" for row in rows]
    return [repr(one) for one in given]


def scorer(schema: Schema, model: PythonModel | None = None) -> HostScorer:
    """Of a model with such a signature; one with a model of its own has it from type hints."""
    signature = ModelSignature(schema)
    signature._is_signature_from_type_hint = model is not None
    metadata = Model(signature=signature)
    metadata.add_flavor("python_function", loader_module="mlflow.pyfunc.model")
    wrapped = _PythonModelPyfuncWrapper(model or Echo(), None, signature)
    loaded = PyFuncModel(model_meta=metadata, model_impl=wrapped)
    return HostScorer(loaded, compile_decoder(metadata), None, name="m", version="1")


def ask(model: HostScorer, protocol: str, body: bytes, json_size: int = 0) -> Any:
    (answer,) = model.score([Item(JSON, body, protocol=protocol, json_size=json_size)]).answers
    assert answer.status == 200, (protocol, body, bytes(answer.body))
    return answer


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), max_size=5
)
FINITE = {"allow_nan": False, "allow_infinity": False}
# Of what the document promises, days that every month has.
MOMENT = (
    r"(1[789]|20|21)\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])"
    r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?([Zz]|[+-](0\d|1[0-3]):?[0-5]\d)?)?"
)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    DataType.boolean: st.booleans(),
    DataType.integer: st.integers(-(2**31), 2**31 - 1),
    DataType.long: st.integers(-(2**63), 2**63 - 1),
    DataType.float: st.floats(width=32, **FINITE),
    DataType.double: st.floats(**FINITE),
    DataType.string: TEXTS,
    DataType.binary: st.binary(max_size=4),
    DataType.datetime: st.from_regex(re.compile(rf"\A{MOMENT}\Z", re.ASCII)),
}  # fmt: skip
SCALARS = st.sampled_from([*VALUES])


def arrays(kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return kinds.map(Array)


KINDS = st.one_of(
    SCALARS,
    arrays(SCALARS),
    arrays(arrays(SCALARS.filter(lambda kind: kind not in (DataType.binary, DataType.datetime)))),
    SCALARS.map(Map),
    SCALARS.map(lambda kind: Object([Property("p", kind), Property("q", "string")])),
    SCALARS.map(lambda kind: Array(Object([Property("p", kind)]))),
    st.just(AnyType()),
)
NAMED = st.lists(KINDS, min_size=1, max_size=4).map(
    lambda kinds: Schema([ColSpec(kind, f"c {at}") for at, kind in enumerate(kinds)])
)
UNNAMED = st.lists(KINDS, min_size=1, max_size=3).map(
    lambda kinds: Schema([ColSpec(kind) for kind in kinds])
)
TENSORS = st.tuples(
    st.sampled_from([*(np.dtype(dtype) for dtype in DTYPES.values()), np.dtype("str")]),
    st.sampled_from([(-1,), (-1, 2), (-1, 2, 3)]),
)
SIGNATURES = st.one_of(
    NAMED,
    UNNAMED,
    TENSORS.map(lambda one: Schema([TensorSpec(*one)])),
    st.lists(TENSORS, min_size=1, max_size=3).map(
        lambda found: Schema([TensorSpec(*one, f"t{at}") for at, one in enumerate(found)])
    ),
)


def cell(kind: Any) -> st.SearchStrategy[Any]:
    """A value of a column, as JSON has it, but for bytes."""
    if isinstance(kind, Array):
        return st.lists(cell(kind.dtype), min_size=2, max_size=2)
    if isinstance(kind, Map):
        return st.dictionaries(st.sampled_from("kl"), cell(kind.value_type), min_size=1)
    if isinstance(kind, Object):
        return st.fixed_dictionaries({one.name: cell(one.dtype) for one in kind.properties})
    if isinstance(kind, AnyType):
        return st.sampled_from(["a text", 1, [1, "x"], {"k": None}])
    return VALUES[kind]


def element(spec: TensorSpec) -> st.SearchStrategy[Any]:
    kind = spec.type.kind
    if kind == "U":
        return TEXTS
    if kind == "b":
        return st.booleans()
    if kind == "f":
        return st.sampled_from([0.0, -1.5, 2.0])
    return st.integers(0 if kind == "u" else -100, 100)


def tensor(spec: TensorSpec) -> st.SearchStrategy[Any]:
    found = element(spec)
    for axis in reversed([ROWS, *spec.shape[1:]]):
        found = st.lists(found, min_size=axis, max_size=axis)
    return found


def in_json(value: Any) -> Any:
    """A value in JSON: bytes in base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [in_json(one) for one in value]
    if isinstance(value, dict):
        return {name: in_json(one) for name, one in value.items()}
    return value


def flat(cells: Any, depth: int) -> list[Any]:
    for _ in range(depth - 1):
        cells = [one for row in cells for one in row]
    return list(cells)


Described = dict[str, Any]
Question = list[tuple[Described, tuple[int, ...], list[Any]]]  # of each tensor: shape and elements


def question(schema: Schema, described: list[Described], columns: list[list[Any]]) -> Question:
    """The tensors that the metadata describes, with the cells of columns."""
    if schema.is_tensor_spec() or len(described) == len(columns):
        pairs = zip(described, columns, schema.input_types(), strict=True)
    else:  # columns without names, side by side
        rows = [list(row) for row in zip(*columns, strict=True)]
        pairs = zip(described, [rows], [None], strict=True)
    found = []
    for one, cells, kind in pairs:
        depth = len(one["shape"])
        shape: list[int] = []
        inner: Any = cells
        if depth == 2 and one["shape"][1] == 1 and not isinstance(cells[0], list):
            cells = inner = [[value] for value in cells]  # noqa: PLW2901
        for _ in range(depth):
            shape.append(len(inner))
            inner = inner[0]
        elements = flat(cells, depth)
        if one["datatype"] == BYTES and not all(
            isinstance(each, (str, bytes)) for each in elements
        ):
            elements = [json.dumps(in_json(each)) for each in elements]
        elif isinstance(kind, AnyType):
            elements = [json.dumps(each) for each in elements]
        found.append((one, tuple(shape), elements))
    return found


def v2(asked: Question, *, binary: bool) -> tuple[bytes, int]:
    """The body of a request of REST, and the size of its JSON where tensors follow."""
    data = [packed(one["datatype"], elements) if binary else b"" for one, _, elements in asked]
    inputs = [
        {"name": one["name"], "datatype": one["datatype"], "shape": shape}
        | ({"parameters": {"binary_data_size": len(content)}} if binary
           else {"data": in_json(elements)})
        for (one, shape, elements), content in zip(asked, data, strict=True)
    ]  # fmt: skip
    head = json.dumps({"inputs": inputs}).encode()
    return head + b"".join(data), len(head) if binary else 0


def packed(datatype: str, elements: list[Any]) -> bytes:
    if datatype != BYTES:
        return np.array(elements, DTYPES[datatype]).tobytes()
    texts = [one if isinstance(one, bytes) else one.encode() for one in elements]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def v2_grpc(asked: Question) -> bytes:
    request = message("ModelInferRequest")(model_name="m")
    for one, shape, elements in asked:
        request.inputs.add(name=one["name"], datatype=one["datatype"], shape=shape)
        request.raw_input_contents.append(packed(one["datatype"], elements))
    content: bytes = request.SerializeToString()
    return content


def by_v2(model: HostScorer, asked: Question) -> Iterator[list[str]]:
    for binary in (False, True):
        answer = ask(model, "open_inference", *v2(asked, binary=binary))
        yield json.loads(bytes(answer.body))["outputs"][0]["data"]
    body = bytes(ask(model, "open_inference_grpc", v2_grpc(asked)).body)
    response = message("ModelInferResponse").FromString(body)
    yield unpacked(response.raw_output_contents[0])


def unpacked(content: bytes) -> list[str]:
    found = []
    while content:
        size = int.from_bytes(content[:4], "little")
        found.append(content[4 : 4 + size].decode())
        content = content[4 + size :]
    return found


def by_v1(model: HostScorer, signature: dict[str, Any], columns: list[list[Any]]) -> Iterator[Any]:
    """What the metadata of TensorFlow Serving describes, by row and by column."""
    described = tf_serving.model_metadata("m", "1", {"signature": signature})["metadata"][
        "signature_def"
    ]
    names = list(described["signature_def"]["serving_default"]["inputs"])
    if len(names) != len(columns):
        columns = [[list(row) for row in zip(*columns, strict=True)]]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*in_json(columns), strict=True)]
    by_name = dict(zip(names, in_json(columns), strict=True))
    for body in ({"instances": rows}, {"inputs": by_name}):
        answer = json.loads(bytes(ask(model, "tf_serving", json.dumps(body).encode()).body))
        yield answer.get("predictions", answer.get("outputs"))


def bodies(schema: Schema, columns: list[list[Any]], layouts: dict[str, Any]) -> Iterator[Any]:
    """A request in each layout and form that the document promises."""
    names = schema.input_names() if schema.has_input_names() else None
    rows = [list(row) for row in zip(*in_json(columns), strict=True)]
    records = [dict(zip(names, row, strict=True)) for row in rows] if names else None
    for layout, content in layouts.items():
        if layout == "dataframe_split":
            yield {layout: {"data": rows} | ({"columns": names} if names else {})}
        elif layout == "inputs" and names:
            forms = {form["type"] for form in content.get("anyOf", [content])}
            if "object" in forms:
                yield {layout: dict(zip(names, in_json(columns), strict=True))}
            if "array" in forms:
                yield {layout: records}
        elif schema.is_tensor_spec() and not names:
            yield {layout: in_json(columns)[0]}
        else:
            yield {layout: records if names else rows}


def promised(signature: dict[str, Any], *, hinted: bool = False) -> dict[str, Any]:
    """The layouts of the document, and what it says of their content."""
    forms = [one["properties"] for one in request_schema(signature, hinted=hinted)["oneOf"]]
    return {name: content for form in forms for name, content in form.items() if name != "params"}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(schema=SIGNATURES, data=st.data())
def test_what_is_described_is_taken_by_every_protocol(schema: Schema, data: Any) -> None:
    columns = [
        data.draw(
            tensor(spec)
            if isinstance(spec, TensorSpec)
            else st.lists(cell(spec.type), min_size=ROWS, max_size=ROWS)
        )
        for spec in schema.inputs
    ]
    model, signature = scorer(schema), ModelSignature(schema).to_dict()
    described = tensors(signature, "inputs")

    first, *others = by_v2(model, question(schema, described, columns))
    assert all(other == first for other in others)
    for found in by_v1(model, signature, columns):
        assert len(found) == ROWS
    for body in bodies(schema, columns, promised(signature)):
        answer = ask(model, "mlflow", json.dumps(body).encode())
        assert len(json.loads(bytes(answer.body))["predictions"]) == ROWS, body


class Person(pydantic.BaseModel):
    name: str
    age: int | None = None


# A hint, and two values of it as JSON has them.
HINTS: dict[str, tuple[Any, list[Any]]] = {
    "whole": (list[int], [2**53 + 1, -1]),
    "number": (list[float], [0.5, 2.0]),
    "truth": (list[bool], [True, False]),
    "text": (list[str], ["é", ""]),
    "bytes": (list[bytes], [b"ab", b""]),
    "moment": (list[datetime], ["2024-01-01T00:00:00+09:00", "2024-01-02"]),
    "lists": (list[list[int]], [[1, 2], [3, 4]]),
    "texts": (list[list[str]], [["a", "b"], ["c", "d"]]),
    "map": (list[dict[str, float]], [{"k": 0.5}, {}]),
    "object": (list[Person], [{"name": "x", "age": 1}, {"name": "y"}]),
    "objects": (list[list[Person]], [[{"name": "x"}], []]),
    "anything": (list[Any], ["a text", "b"]),
}


def hinted(hint: Any) -> PythonModel:
    class Hinted(PythonModel):
        def predict(self, model_input: hint) -> list[str]:  # type: ignore[valid-type]
            return [repr(one) for one in model_input]

    return Hinted()


@pytest.mark.parametrize("kind", HINTS)
def test_what_is_described_of_type_hints_is_taken(kind: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # as where a version is loaded
    hint, cells = HINTS[kind]
    schema = _infer_schema_from_list_type_hint(hint)
    model, signature = scorer(schema, hinted(hint)), ModelSignature(schema).to_dict()
    layouts = promised(signature, hinted=True)
    assert list(layouts) == ["inputs"]
    body = json.dumps({"inputs": in_json(cells)}).encode()
    expected = json.loads(bytes(ask(model, "mlflow", body).body))["predictions"]
    assert len(expected) == ROWS
    asked = question(schema, tensors(signature, "inputs"), [cells])
    assert list(by_v2(model, asked)) == [expected] * 3
    assert list(by_v1(model, signature, [cells])) == [expected] * 2
