"""Datetimes of a request: in UTC without a zone, whichever way they come."""

import io
import json
import re
from itertools import product
from typing import Any

import pandas as pd
import pytest
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import Array, Map, Object, Property

from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.host.parsing.content_types import CSV, JSON, PARQUET
from cloche.serving.processes.frames import Answer, Item
from cloche.serving.protocols.json_schema import column
from cloche.values import datetimes
from tests.serving.host.test_advertised import packed, scorer

FORMS = [
    "2024-01-01T00:00:00Z", "2024-01-01T09:00:00+09:00", "2023-12-31 18:30-0530", "2024-01-01",
    "2024-01-01 00:00z", "2024-01-01t09:00:00.000000000+09:00",
]  # fmt: skip
MIDNIGHT = "[dtype('<M8[ns]')] [Timestamp('2024-01-01 00:00:00')]"
WHEN = Schema([ColSpec("datetime", "when")])


def parquet(values: Any) -> bytes:
    file = io.BytesIO()
    pd.DataFrame({"when": values}).to_parquet(file)
    return file.getvalue()


def in_json(body: Any) -> bytes:
    return json.dumps(body).encode()


def by_grpc() -> bytes:
    request = message("ModelInferRequest")(model_name="m")
    request.inputs.add(name="when", datatype="BYTES", shape=[len(FORMS)])
    request.raw_input_contents.append(packed("BYTES", list(FORMS)))
    content: bytes = request.SerializeToString()
    return content


ROWS = [{"when": one} for one in FORMS]
TENSOR = {"name": "when", "datatype": "BYTES", "shape": [len(FORMS)], "data": FORMS}
ZONED = pd.to_datetime(["2024-01-01 09:00"] * 2).tz_localize("Asia/Seoul")
WAYS: dict[str, tuple[str, str, bytes]] = {
    "split": (
        "mlflow",
        JSON,
        in_json({"dataframe_split": {"columns": ["when"], "data": [[one] for one in FORMS]}}),
    ),
    "records": ("mlflow", JSON, in_json({"dataframe_records": ROWS})),
    "instances": ("mlflow", JSON, in_json({"instances": ROWS})),
    "instances without name": ("mlflow", JSON, in_json({"instances": FORMS})),
    "inputs by column": ("mlflow", JSON, in_json({"inputs": {"when": FORMS}})),
    "inputs by row": ("mlflow", JSON, in_json({"inputs": ROWS})),
    "csv": ("mlflow", CSV, "\n".join(["when", *FORMS, ""]).encode()),
    "parquet, text": ("mlflow", PARQUET, parquet(FORMS)),
    "parquet, zoned": ("mlflow", PARQUET, parquet(ZONED)),
    "v1 by row": ("tf_serving", JSON, in_json({"instances": ROWS})),
    "v1 by column": ("tf_serving", JSON, in_json({"inputs": {"when": FORMS}})),
    "torchserve": ("torchserve", JSON, in_json({"dataframe_records": ROWS})),
    "v2": ("open_inference", JSON, in_json({"inputs": [TENSOR]})),
    "grpc": ("open_inference_grpc", JSON, by_grpc()),
}


def ask(schema: Schema, protocol: str, media_type: str, body: bytes) -> Answer:
    (answer,) = scorer(schema).score([Item(media_type, body, protocol=protocol)]).answers
    return answer


@pytest.mark.parametrize("way", WAYS)
def test_a_moment_is_the_same_in_every_layout_and_protocol(way: str) -> None:
    answer = ask(WHEN, *WAYS[way])
    body = bytes(answer.body)
    assert answer.status == 200, body
    assert body.count(MIDNIGHT.encode()) == (2 if way == "parquet, zoned" else len(FORMS))


@pytest.mark.parametrize("bad", ["soon", "2024-02-30T00:00:00Z", "9999-12-31T00:00:00Z"])
def test_what_is_no_moment_is_refused_with_its_row(bad: str) -> None:
    cells = [FORMS[0], bad]
    rows = [{"when": cell} for cell in cells]
    for media_type, body in (
        (JSON, in_json({"dataframe_records": rows})), (JSON, in_json({"instances": rows})),
        (JSON, in_json({"inputs": {"when": cells}})),
        (CSV, "\n".join(["when", *cells, ""]).encode()),
    ):  # fmt: skip
        answer = ask(WHEN, "mlflow", media_type, body)
        assert answer.status == 400
        message = json.loads(bytes(answer.body))["message"]
        assert message == "Column 'when', row 1: expected datetime, found text.", body


def test_moments_within_lists_objects_and_maps_are_read_alike() -> None:
    schema = Schema(
        [
            ColSpec(Array("datetime"), "a"),
            ColSpec(Object([Property("d", "datetime", required=False)]), "o"),
            ColSpec(Map("datetime"), "m"),
        ]
    )
    rows = [{"a": FORMS, "o": {"d": FORMS[1]}, "m": {"k": FORMS[2]}}, {"a": [], "o": {}, "m": {}}]
    answer = ask(schema, "mlflow", JSON, in_json({"dataframe_records": rows}))
    body = bytes(answer.body).decode()
    assert answer.status == 200, body
    assert body.count("'2024-01-01T00:00:00.000000000'") == len(FORMS)
    assert body.count("Timestamp('2024-01-01 00:00:00')") == 2


@pytest.mark.parametrize("dtype", [object, "str"])
def test_every_form_that_the_document_promises_is_read_alike_beside_all_others(dtype: Any) -> None:
    days, zones = ["1678-01-01", "2024-02-29", "2261-12-31"], ["", "Z", "z", "+0930", "-05:30"]
    clocks = ["20:00", "20:00:01", "20:00:01.1", "20:00:01.1234567", "20:00:01.123456789"]
    timed = ["".join(one) for one in product(days, "Tt ", clocks, zones)]
    cells = pd.Series([*days, *timed], dtype=dtype, index=[0] * (len(days) + len(timed)))
    promised = re.compile(column({"type": "datetime"})["pattern"])
    assert all(promised.match(cell) for cell in cells if "t" not in cell)
    together = datetimes.parse_datetimes(cells)
    assert together is not None
    assert not together.unreadable.any()
    for cell, value in zip(cells, together.values, strict=True):
        alone = pd.Timestamp(cell.upper())
        assert value == (alone.tz_convert(None) if alone.tz else alone), cell
