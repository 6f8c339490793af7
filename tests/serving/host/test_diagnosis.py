"""What a refused request is told: the column, the row, the type and the shape, and no value."""

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel, PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array, Map, Object, Property

from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.host.diagnosis import enforcement
from cloche.serving.host.diagnosis.cells import locate_mistake
from cloche.serving.host.diagnosis.contents import hinted_mistake
from cloche.serving.host.diagnosis.enforcement import first_refused
from cloche.serving.host.load import load
from cloche.serving.host.parsing.column_decoder import compile_decoder
from cloche.serving.host.parsing.content_types import CSV, JSON, PARQUET
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import Item
from tests.serving.host.test_advertised import packed

pytestmark = pytest.mark.filterwarnings("ignore")

SECRET = "s3cr3t"  # noqa: S105  # a value that no message may hold
PARAMS = ParamSchema(
    [ParamSpec("factor", "double", 2.0), ParamSpec("steps", "long", [1], shape=(-1,))]
)


class Mute:
    def predict(self, data: Any, params: Any = None) -> list[int]:
        return [0] * len(data)


def scorer(*specs: Any) -> HostScorer:
    schema = Schema(list(specs)) if specs else None
    signature = ModelSignature(schema, params=PARAMS) if schema else None
    metadata = Model(signature=signature)
    decoder = compile_decoder(metadata)
    return HostScorer(PyFuncModel(metadata, Mute()), decoder, None)


def refusal(
    scoring: HostScorer, body: Any, content_type: str = JSON, protocol: str = "mlflow"
) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    (answer,) = scoring.score([Item(content_type, content, "", protocol)]).answers
    assert answer.status == 400, answer
    assert SECRET not in bytes(answer.body).decode()
    if protocol == "open_inference_grpc":
        return {"message": bytes(answer.body).decode()}
    said = json.loads(bytes(answer.body))
    return said | {"message": said.get("message", said.get("error"))}


def table(cells: list[Any], *, by_column: bool = False) -> dict[str, Any]:
    names = ["other", "x"]
    rows = [[1.5, cell] for cell in cells]
    records = [dict(zip(names, row, strict=True)) for row in rows]
    if by_column:
        return {"inputs": {"other": [1.5] * len(cells), "x": cells}}
    return {
        "dataframe_split": {"columns": names, "data": rows},
        "dataframe_records": records,
        "instances": records,
        "inputs": records,
    }


LAYOUTS = ["dataframe_split", "dataframe_records", "instances", "inputs", "by column"]
# a type, a cell that fits, one that does not, and how that is told
PLAIN: list[tuple[str, Any, Any, str]] = [
    ("double", 2.5, SECRET, "expected double, found text"),
    ("double", 2.5, {SECRET: 1}, "expected double, found an object"),
    ("float", 2.5, SECRET, "expected float, found text"),
    ("long", 2, SECRET, "expected long, found text"),
    ("long", 2, None, "expected long, found null"),
    ("long", 2, 2**70, "expected long, found a whole number beyond 64 bits"),
    ("integer", 2, SECRET, "expected integer, found text"),
    ("boolean", True, SECRET, "expected boolean, found text"),
    ("boolean", True, None, "expected boolean, found null"),
    ("datetime", "2026-01-02", SECRET, "expected datetime, found text"),
]


@pytest.mark.parametrize(("kind", "good", "bad", "told"), PLAIN)
def test_a_cell_is_named_in_every_layout(kind: str, good: Any, bad: Any, told: str) -> None:
    cells = [good, good, good, bad, good]
    scoring = scorer(ColSpec("double", "other"), ColSpec(kind, "x"))
    for layout in LAYOUTS:
        body = table(cells, by_column=True)
        if layout != "by column":
            body = {layout: table(cells)[layout]}
        for protocol in ("mlflow", "tf_serving", "torchserve"):
            if protocol == "tf_serving" and layout.startswith("dataframe"):
                continue
            said = refusal(scoring, body, protocol=protocol)
            assert said["message"] == f"Column 'x', row 3: {told}.", (layout, protocol)
            if protocol == "mlflow":
                assert (said["columns"], said["row"], said["expected"]) == (["x"], 3, kind)


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("double", b"a,x\n1,1.5\n1,s3cr3t\n", "Column 'x', row 1: expected double, found te"),
        ("long", b"a,x\n1,1\n1,1.5\n", "Column 'x', row 1: expected long, found text."),
        ("long", b"a,x\n1,1\n1,\n", "Column 'x', row 1: expected long, found an empty text."),
        ("datetime", b"a,x\n1,2026-01-02\n1,s3cr3t\n", "row 1: expected datetime, found text."),
        ("double", b"", "The body is empty: "),
        ("double", b"a,x\n1,2\n3,4,5\n", "Line 3 of the CSV has 3 fields, and its header has 2."),
        ("double", b"a,x\n1,\xff\n", "byte 6 is not UTF-8"),
        ("double", b"1,s3cr3t\n2,s3cr3t\n", "lacks columns 'a', 'x'; it has none of "),
        ("double", b"a,y\n1,2\n", "lacks column 'x'; it has 'a', and 'y', which the model "),
        ("double", b"a,x1,s3cr3t", "`curl --data-binary @FILE`"),
    ],
)
def test_a_cell_and_the_form_of_a_csv_are_told(kind: str, body: bytes, told: str) -> None:
    scoring = scorer(ColSpec("double", "a"), ColSpec(kind, "x"))
    assert told in refusal(scoring, body, CSV)["message"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"inputs": [' + b"9" * 5000 + b"]}", "a number has more than 4300 digits"),
        (b'{"inputs": ' + b"[" * 500_000 + b"]" * 500_000 + b"}", "it is nested too deeply"),
    ],
    ids=["digits", "depth"],
)
def test_what_no_parser_reads_is_told(body: bytes, told: str) -> None:
    said = refusal(scorer(ColSpec("double", "a")), body)
    assert said["message"] == f"The body is not valid JSON: {told}."


class Days(PythonModel):
    def predict(self, model_input: list[datetime]) -> list[int]:
        return [day.year for day in model_input]


def test_a_mistake_that_mlflow_calls_its_own_is_the_clients(tmp_path: Path) -> None:
    """Scenario: MLflow's check of a type hint raises INTERNAL_ERROR for text that is no date."""
    mlflow.pyfunc.save_model(tmp_path / "model", python_model=Days(), pip_requirements=[])
    scoring = load(tmp_path / "model").scorer
    said = refusal(scoring, {"inputs": ["2026-01-02", SECRET]})
    assert (said["error_code"], said["row"]) == ("BAD_REQUEST", 1)
    assert said["message"] == "inputs, row 1: expected datetime, found text."


def test_a_column_of_a_parquet_file_is_named_with_its_type() -> None:
    scoring = scorer(ColSpec("double", "a"), ColSpec("long", "x"))
    for column, told in (
        ([1.5, 2.5], "Column 'x': expected long, found float64."),
        ([SECRET, SECRET], "Column 'x', row 0: expected long, found text."),
    ):
        file = io.BytesIO()
        pd.DataFrame({"a": [0.5, 1.5], "x": column}).to_parquet(file)
        assert refusal(scoring, file.getvalue(), PARQUET)["message"] == told


POINT = Object([Property("x", "long"), Property("tags", Array("string"), required=False)])
NESTED: list[tuple[Any, Any, str]] = [
    (Array("double"), [1.5, SECRET], ", at [1]: expected double, found text."),
    (Array("double"), SECRET, ": expected Array(double), found text."),
    (POINT, {"tags": []}, ": the property 'x' is missing."),
    (POINT, {"x": 1, "z": SECRET}, ": there is no property 'z'; there are 'tags', 'x'."),
    (POINT, {"x": SECRET}, ", at x: expected long, found text."),
    (Array(POINT), [{"x": 1, "tags": [5]}], ", at [0].tags[0]: expected string, found"),
    (Map("long"), {SECRET: SECRET}, ", at a value of the map: expected long, found text."),
]


@pytest.mark.parametrize(("kind", "cell", "told"), NESTED)
def test_a_place_inside_a_cell_is_named(kind: Any, cell: Any, told: str) -> None:
    scoring = scorer(ColSpec("double", "other"), ColSpec(kind, "x"))
    for layout in ("dataframe_split", "dataframe_records", "inputs"):
        said = refusal(scoring, {layout: table([cell])[layout]})["message"]
        assert said.startswith(f"Column 'x', row 0{told}"), layout
    if kind != NESTED[0][0]:  # JSON in a tensor
        tensor = {"name": "x", "datatype": "BYTES", "shape": [1], "data": [json.dumps(cell)]}
        said = refusal(scorer(ColSpec(kind, "x")), {"inputs": [tensor]}, protocol="open_inference")[
            "message"
        ]
        assert said.startswith(f"Input 'x', row 0{told}")


TENSORS: list[tuple[Any, str]] = [
    ([1, 2], "expected float64 of shape [n, 2], found shape [2]."),
    ([[1, 2, 3]], "expected float64 of shape [n, 2], found shape [1, 3]."),
    ([[1, 2], [3]], "found lists of different lengths or depths."),
    ([[1, 2], [3, SECRET]], "row 1: expected float64 of shape [n, 2], found text."),
]


@pytest.mark.parametrize("layout", ["instances", "inputs"])
@pytest.mark.parametrize(("value", "told"), TENSORS)
def test_the_shape_of_a_tensor_is_told(value: Any, told: str, layout: str) -> None:
    spec = np.dtype("float64"), (-1, 2)
    for protocol in ("mlflow", "tf_serving"):
        assert (
            told
            in refusal(scorer(TensorSpec(*spec)), {layout: value}, protocol=protocol)["message"]
        )
    named = {"inputs": {"x": value}} if layout == "inputs" else None
    if named:
        said = refusal(scorer(TensorSpec(*spec, "x")), named)
        assert said["message"].startswith("Input 'x'")
        assert said["message"].endswith(told.removeprefix("row 1: "))


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"factor": SECRET}, "'factor': expected double, found text."),
        ({"steps": [SECRET]}, "'steps': expected a list of long, found a list."),
    ],
)
def test_a_parameter_is_named_in_every_protocol(params: Any, told: str) -> None:
    scoring = scorer(ColSpec("double", "x"))
    body = {"dataframe_records": [{"x": 1.5}], "params": params}
    assert refusal(scoring, body)["message"] == f"Parameter {told}"
    body = {"instances": [{"x": 1.5}], "parameters": params}
    assert refusal(scoring, body, protocol="tf_serving")["message"] == f"Parameter {told}"
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}
    body = {"inputs": [tensor], "parameters": params}
    assert refusal(scoring, body, protocol="open_inference")["message"] == f"Parameter {told}"
    if "factor" in params:
        request = message("ModelInferRequest")(model_name="m")
        request.inputs.add(name="x", datatype="FP64", shape=[1])
        request.raw_input_contents.append(packed("FP64", [1.5]))
        request.parameters["factor"].string_param = SECRET
        said = refusal(scoring, request.SerializeToString(), protocol="open_inference_grpc")
        assert said["message"] == f"Parameter {told}"


CHAT = (
    ColSpec(Array(Object([Property("role", "string"), Property("content", "string")])), "messages"),
    ColSpec(DataType.double, "temperature", required=False),
)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"messages": [{"role": "user"}]},
         "'messages', at [0]: the property 'content' is missing."),
        ({"messages": SECRET}, "'messages': expected Array("),
        ({"messages": [{"role": "u", "content": "x"}], "temperature": SECRET},
         "'temperature': expected double, found text."),
    ],
)  # fmt: skip
def test_a_mistake_in_a_chat_is_named_and_its_layout_is_not_doubted(body: Any, told: str) -> None:
    assert refusal(scorer(*CHAT), body)["message"].startswith(told)


def test_only_the_row_that_is_wrong_is_named_in_a_wide_and_long_table() -> None:
    names = [f"c{at}" for at in range(300)]
    rows = [[1.5] * 300 for _ in range(400)]
    rows[271][123] = SECRET
    body = {"dataframe_split": {"columns": names, "data": rows}}
    said = refusal(scorer(*(ColSpec("double", name) for name in names)), body)
    assert said["message"] == "Column 'c123', row 271: expected double, found text."


@given(st.integers(1, 5_000), st.data())
def test_what_is_refused_is_found_by_looking_at_about_as_many_parts_as_there_are(
    count: int, data: st.DataObject
) -> None:
    bad = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=5))
    looked_at = 0

    def refuses(some: slice) -> bool:
        nonlocal looked_at
        parts = range(count)[some]
        looked_at += len(parts)
        return any(one in parts for one in bad)

    assert first_refused(count, refuses) == min(bad)
    assert looked_at <= count + 1


def test_a_part_that_is_refused_beside_others_alone_is_found_where_there_are_few() -> None:
    def refuses(some: slice) -> bool:
        return {3, 7} <= set(range(10)[some])

    assert first_refused(10, refuses) == 7


def test_long_lists_and_large_maps_are_not_asked_about_one_by_one(monkeypatch) -> None:
    asked = []
    judge = enforcement.refuses_payload

    def refuses_payload(payload: Any, schema: Schema) -> bool:
        asked.append(payload)
        return judge(payload, schema)

    monkeypatch.setattr(enforcement, "refuses_payload", refuses_payload)
    cells = [1] * 2_000 + ["a text"]

    listed = hinted_mistake(cells, Schema([ColSpec(DataType.long)]))
    place, _ = locate_mistake({str(at): cell for at, cell in enumerate(cells)}, Map(DataType.long))

    assert (listed.row, place) == (2_000, "a value of the map")
    assert len(asked) < 60
