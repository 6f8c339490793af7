"""`cloche score` beside MLflow: the values of `pyfunc.predict` and of `mlflow models predict`.

For every kind of answer, in every format of the output. What a file has otherwise than MLflow's
JSON is in `as_written`; where a model is asked otherwise, in DIFFERENCES.
"""

import base64
import csv
import datetime as dt
import io
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.pyfunc.scoring_server import predictions_to_json
from mlflow.utils.proto_json_utils import NumpyEncoder
from scipy import sparse

from cloche.serving.batch import encoding, writers
from tests.protocol.answers import ANSWERS, ROWS, UNWRITABLE

# pyarrow 25 with pandas 3.1, of columns with a time zone
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning an ndarray that drops time")

Columns = dict[str, list[Any]]


def by_mlflow(raw: Any) -> Columns:
    """An answer as MLflow writes it, by column; whatever is missing is None."""
    if sparse.issparse(raw):
        raw = raw.toarray()  # MLflow cannot write it
    text = io.StringIO()
    predictions_to_json(raw, text)
    found = json.loads(text.getvalue())["predictions"]
    if isinstance(raw, np.ndarray) and raw.ndim == 2:
        width = len(found[0])
        names = [f"prediction_{at}" for at in range(width)] if width > 1 else ["prediction"]
        found = [dict(zip(names, row, strict=True)) for row in found]
    if isinstance(raw, pd.Series):
        found = [value for row in found for value in row.values()]
    if isinstance(found, dict):
        columns = found
    elif all(isinstance(row, dict) for row in found):
        columns = {name: [row.get(name) for row in found] for row in found for name in row}
    else:
        columns = {"prediction": found}
    return {name: without_nan(cells) for name, cells in columns.items()}


def without_nan(value: Any, *, finite: bool = False) -> Any:
    """A value of MLflow's JSON with None for what is missing, and for infinities on demand."""
    if isinstance(value, dict):
        return {key: without_nan(one, finite=finite) for key, one in value.items()}
    if isinstance(value, list):
        return [without_nan(one, finite=finite) for one in value]
    if isinstance(value, float) and (math.isnan(value) or (finite and math.isinf(value))):
        return None
    return None if value == "NaT" else value


def from_jsonl(content: bytes) -> Columns:
    rows = [json.loads(line, parse_constant=_refuse) for line in content.splitlines()]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def from_csv(content: bytes) -> Columns:
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    assert all(rows), "a line that is empty is none"
    return {name: [row[at] for row in rows[1:]] for at, name in enumerate(rows[0])}


def from_table(table: pa.Table) -> Columns:
    return {
        name: [_plain(cell, column.type) for cell in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def _plain(cell: Any, kind: pa.DataType) -> Any:
    """A cell as JSON has it."""
    if cell is None or isinstance(cell, str):
        return json.loads(cell) if cell is not None and isinstance(kind, pa.JsonType) else cell
    if isinstance(cell, dt.timedelta):
        return str(pd.Timedelta(cell))
    return without_nan(json.loads(json.dumps(cell, cls=_Encoder)))


class _Encoder(NumpyEncoder):
    def default(self, o: Any) -> Any:
        converted, done = self.try_convert(o)
        return converted if done else str(o)


def from_parquet(content: bytes) -> Columns:
    return from_table(pq.read_table(pa.BufferReader(content)))


def from_arrow(content: bytes) -> Columns:
    return from_table(pa.ipc.open_file(content).read_all())


def same_cell(cell: str, value: Any) -> bool:
    """Whether a cell of CSV holds a value of MLflow's JSON."""
    if value is None or isinstance(value, (bool, float)):
        return cell == ("" if value is None else str(value)) or (
            type(value) is float and float(cell) == value
        )
    if not isinstance(value, str):
        return bool(json.loads(cell) == without_nan(value, finite=True))
    return cell == value.encode(errors="backslashreplace").decode() or any(
        _reads_as(read, cell, value) for read in (_bytes, dt.time.fromisoformat, pd.Timestamp)
    )


def _reads_as(read: Callable[[str], Any], cell: str, value: str) -> bool:
    try:
        return bool(read(cell) == read(value))
    except ValueError:
        return False


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.replace("\n", ""), validate=True)


FORMATS: dict[str, tuple[Callable[[pa.Table], Any], Callable[[bytes], Columns]]] = {
    "jsonl": (writers.jsonl, from_jsonl),
    "csv": (lambda table: writers.csv_header(table.column_names) + writers.csv(table), from_csv),
    "parquet": (lambda table: writers.parquet(table, {}), from_parquet),
    "arrow": (writers.arrow, from_arrow),
}
EACH_ANSWER = [pytest.param(name, id=name.replace(" ", "_")) for name in ANSWERS]


def assert_holds(found: Columns, answer: str, file_format: str) -> None:
    """A file of a format holds an answer."""
    if answer.startswith("unwritable: "):
        expected: Columns = {"y": list(UNWRITABLE[answer.removeprefix("unwritable: ")][1])}
    else:
        expected = by_mlflow(ANSWERS[answer])
    assert list(found) == list(expected)
    for name, values in expected.items():
        if file_format == "csv":
            assert [
                (cell, value)
                for cell, value in zip(found[name], values, strict=True)
                if not same_cell(cell, value)
            ] == []
        else:
            assert found[name] == without_nan(values, finite=file_format == "jsonl")


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("answer", EACH_ANSWER)
def test_a_file_holds_the_values_that_mlflow_answers(answer: str, file_format: str) -> None:
    write, read = FORMATS[file_format]

    table = encoding.table(ANSWERS[answer], ROWS, [])

    assert_holds(read(bytes(write(table))), answer, file_format)
