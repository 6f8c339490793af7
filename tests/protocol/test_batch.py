"""`cloche score` beside MLflow: the values of `pyfunc.predict` and of `mlflow models predict`.

For every kind of answer, in every format of the output: what is missing (NaN, NA, NaT, None) is
null in every file, and so are infinities in JSON lines; they are counted. For every format of the
input and every kind of model that takes tables: what reaches the model.
"""

import base64
import csv
import datetime as dt
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.scoring_server import _parse_json_data, parse_csv_input, predictions_to_json
from mlflow.utils.proto_json_utils import NumpyEncoder
from scipy import sparse

from cloche.serving.batch import run
from cloche.serving.batch.input import inputs
from cloche.serving.batch.job.options import JobOptions, JobResult
from cloche.serving.batch.job.refusal_limit import Limit
from cloche.serving.batch.output import answer_encoding, layout
from cloche.serving.batch.output.formats.catalog import output_format
from cloche.serving.batch.output.formats.format import TextOutput
from cloche.serving.batch.storage.arrow_file import arrow_file
from cloche.serving.errors import JobFailed
from tests import warm
from tests.protocol import bodies
from tests.protocol.answers import ANSWERS, ROWS, SIGNATURES, UNWRITABLE
from tests.protocol.differences import DIFFERENCES
from tests.serving.batch.conftest import HereEngine, quick  # noqa: F401  # used by each test

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


def written(name: str) -> Callable[[pa.Table], Any]:
    """Return the function that makes a file of an output format."""
    chosen = output_format(name)
    if isinstance(chosen, TextOutput):
        return lambda table: (
            chosen.serialize_header(table.column_names) + chosen.serialize_rows(table)
        )
    return lambda table: chosen.serialize(table, {})


FORMATS: dict[str, tuple[Callable[[pa.Table], Any], Callable[[bytes], Columns]]] = {
    "jsonl": (written("jsonl"), from_jsonl),
    "csv": (written("csv"), from_csv),
    "parquet": (written("parquet"), from_parquet),
    "arrow": (arrow_file, from_arrow),
}


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


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_file_of_each_format_holds_the_values_that_mlflow_answers(answer: str) -> None:
    table = answer_encoding.table(ANSWERS[answer], ROWS, [])
    for file_format, (write, read) in FORMATS.items():
        assert_holds(read(bytes(write(table))), answer, file_format)


HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the models that give every kind of answer."""
    directory = tmp_path_factory.mktemp("answering")
    program = [warm.python(), HERE / "answers.py", directory]
    subprocess.run(program, check=True, capture_output=True)
    return directory


def score(model: Path, source: Path, made: Path, **options: Any) -> JobResult:
    """A job in this process."""
    request = JobOptions(
        model=str(model), tracked=False, cache=made.parent, limit=Limit.parse("100%"), **options
    )
    return run.score(
        request, inputs.Files(str(source), None), layout.describe(str(made), None),
        engine=HereEngine(), say=lambda _: None, on_progress=lambda **_: None,
    )  # fmt: skip


JOBS = [
    pytest.param(
        answer, file_format, signature, id=f"{answer}-{signature}".replace(" ", "_"),
        marks=[] if signature == "signature" and at % 10 == 0 else [pytest.mark.breadth],
    )
    for signature in SIGNATURES
    for at, (answer, file_format) in enumerate(zip(ANSWERS, cycle(("jsonl", "csv", "parquet"))))
]  # fmt: skip


@pytest.mark.parametrize(("answer", "file_format", "signature"), JOBS)
def test_a_job_comes_to_the_values_that_mlflow_answers(
    answer: str, file_format: str, signature: str, answering: Path, tmp_path: Path
) -> None:
    rows, made = tmp_path / "rows.parquet", tmp_path / f"made.{file_format}"
    pd.DataFrame({"kind": [answer] * ROWS}).to_parquet(rows)

    outcome = score(answering / signature, rows, made)

    assert (outcome.manifest["scored"], outcome.manifest["refused"]) == (ROWS, 0)
    found = FORMATS[file_format][1](made.read_bytes())
    unwritable = answer.startswith("unwritable: ")
    if not unwritable and list(by_mlflow(ANSWERS[answer])) == ["prediction"] and "y" in found:
        found = {"prediction": found.pop("y"), **found}  # a bare answer has the output's name
    assert_holds(found, answer, file_format)
    told = json.loads((tmp_path / f"made.{file_format}.report.json").read_text())["nulled"]
    infinite = str(by_mlflow(ANSWERS[answer])).count("inf") if "infinit" in answer else 0
    if infinite and file_format == "jsonl":
        assert told == {"y": infinite}


TABLES = [
    "array_column", "binary", "datetime", "embedding_predict", "frame", "integers",
    "labels_predict", "map_column", "nested", "no_signature", "object_column", "optional",
    "scalars", "text_predict", "unnamed",
]  # fmt: skip
# which get the same rows as others of these
ALIKE = [
    "array", "arrays_predict", "bare_predict", "labels_predict_proba", "names_predict", "nan",
    "records", "regression_predict", "series",
]  # fmt: skip


# MLflow's parser gives text of CSV as objects, ours as pandas' own type; these models say which
SAY_TYPES = {("optional", "csv"), ("scalars", "csv")}


def files(kind: str) -> Iterator[tuple[str, bytes, bytes]]:
    """The bodies of the differential test that a file can hold: suffix, body, content."""
    for content_type, content in bodies.BY_KIND.get(kind) or bodies.numbers():
        if content_type == bodies.CSV:
            yield "csv", content, content
        elif content_type == bodies.PARQUET:
            yield "parquet", content, content
        elif list(body := json.loads(content)) == ["dataframe_records"]:
            lines = [json.dumps(row) for row in body["dataframe_records"]]
            yield "jsonl", content, "\n".join(lines).encode()


def read_by_mlflow(model: PyFuncModel, suffix: str, body: bytes) -> Columns | None:
    """What MLflow answers to a body; None where it refuses it."""
    try:
        if suffix == "jsonl":
            schema = model.metadata.get_input_schema()
            rows: Any = _parse_json_data(body.decode(), model.metadata, schema).data
        elif suffix == "csv":
            rows = parse_csv_input(io.StringIO(body.decode()), model.metadata.get_input_schema())
        else:
            rows = pd.read_parquet(io.BytesIO(body))
        return by_mlflow(model.predict(rows))
    except Exception:  # noqa: BLE001  # MLflow, or the model
        return None


@pytest.mark.parametrize(
    "kind", [*TABLES, *(pytest.param(kind, marks=pytest.mark.breadth) for kind in ALIKE)]
)
def test_rows_of_files_reach_a_model_as_bodies_reach_it(
    kind: str, zoo: Path, tmp_path: Path
) -> None:
    model = mlflow.pyfunc.load_model(str(zoo / kind))
    wrong = []
    for number, (suffix, body, content) in enumerate(files(kind)):
        expected = read_by_mlflow(model, suffix, body)
        if expected is None or (kind, suffix) in SAY_TYPES:
            continue  # what MLflow refuses, a job types by the signature
        source, made = tmp_path / f"{number}.{suffix}", tmp_path / f"{number}.made.jsonl"
        source.write_bytes(content)
        try:
            score(zoo / kind, source, made)
            found = list(from_jsonl(made.read_bytes()).values()) if made.stat().st_size else []
        except JobFailed as failure:
            found = [str(failure)]
        refused = not found and any(one.only and one.only in body for one in DIFFERENCES)
        if not refused and found != without_nan(list(expected.values()), finite=True):
            wrong.append((content, expected, found))
    assert wrong == []


@pytest.mark.breadth
@pytest.mark.slow
def test_mlflows_command_answers_the_same(answering: Path, tmp_path: Path) -> None:
    rows = {"dataframe_records": [{"kind": "frame"}] * ROWS}
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows["dataframe_records"])))
    program = [
        Path(sys.executable).with_name("mlflow"), "models", "predict", "--env-manager", "local",
        "-m", answering / "signature",
        "-i", tmp_path / "rows.json", "-t", "json", "-o", tmp_path / "theirs.json",
    ]  # fmt: skip
    subprocess.run(program, check=True, capture_output=True)

    score(answering / "signature", tmp_path / "rows.jsonl", tmp_path / "made.jsonl")

    theirs = json.loads((tmp_path / "theirs.json").read_text())["predictions"]
    ours = [json.loads(line) for line in (tmp_path / "made.jsonl").read_text().splitlines()]
    assert ours == without_nan(theirs)
