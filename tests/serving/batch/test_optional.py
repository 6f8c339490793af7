"""What is missing in a row of any format reaches the model as missing, or the row is refused."""

import base64
import datetime as dt
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.types import ColSpec, DataType, Schema
from pyarrow import feather

from cloche.serving.batch.input.formats.catalog import input_format
from cloche.serving.batch.input.readers.reader import ReaderSettings
from cloche.serving.batch.job.part import Part
from cloche.serving.batch.job.refusal_limit import Limit
from cloche.serving.errors import JobFailed

pytestmark = pytest.mark.xdist_group("batch")

# Each type, as Arrow stores it, and values.
KINDS = {
    "boolean": (pa.bool_(), [True, False]),
    "integer": (pa.int32(), [1, -2]),
    "long": (pa.int64(), [2**53 + 1, -2]),
    "float": (pa.float32(), [0.5, -2.0]),
    "double": (pa.float64(), [0.1, -2.0]),
    "string": (pa.string(), ["one", "two"]),
    "binary": (pa.binary(), [b"\0x", b"y"]),
    "datetime": (pa.timestamp("us"), [dt.datetime(2013, 11, 1), dt.datetime(2026, 1, 2, 3)]),  # noqa: DTZ001
    "booleans": (pa.list_(pa.bool_()), [[True, False], [False]]),
    "strings": (pa.list_(pa.string()), [["one"], ["two", ""]]),
}
MISSING = ("NoneType None", "float nan", "NaTType NaT")


def _jsonable(cell):
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode()
    return cell.isoformat() if isinstance(cell, dt.datetime) else cell


def _jsonl(table, place):
    rows = ({name: _jsonable(cell) for name, cell in row.items()} for row in table.to_pylist())
    place.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


WRITERS = {
    "parquet": pq.write_table,
    "arrow": feather.write_feather,
    "jsonl": _jsonl,
    "csv": lambda table, place: table.to_pandas(integer_object_nulls=True).to_csv(
        place, index=False, date_format="%Y-%m-%dT%H:%M:%S"
    ),
}


def _scored(cells, kind, suffix, score):
    """Row → what reached the model of it; refused rows are left out."""
    table = pa.table({"id": range(len(cells)), kind: pa.array(cells, KINDS[kind][0])})
    WRITERS[suffix](table, Path(f"rows.{suffix}"))
    out = Path("out.parquet")
    score(f"rows.{suffix}", out, model="optional", id_columns=("id",), part_rows=2, overwrite=True)
    found = pd.read_parquet(out)
    return dict(zip(found["id"].astype(int), found["prediction"], strict=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        # Arrow's files and Parquet have one reader
        pytest.param(kind, suffix, marks=[pytest.mark.breadth] if suffix == "arrow" else [])
        for kind in KINDS
        for suffix in WRITERS
        if suffix != "csv" or kind not in ("binary", "booleans", "strings")  # CSV has text alone
    ],
)
def test_a_missing_cell_stays_missing_or_its_row_is_refused(kind, suffix, score):
    one, other = KINDS[kind][1]
    cells = [one, other, None, one, None, None, other]
    found = _scored(cells, kind, suffix, score)
    whole = _scored([one, other], kind, suffix, score)
    for at, cell in enumerate(cells):
        if cell is None:
            assert at not in found or found[at].endswith(MISSING)
        else:
            right = whole[0 if cell == one else 1]
            assert found[at].split(" ", 2)[2] == right.split(" ", 2)[2]
    if kind in ("boolean", "float", "double", "string", "datetime"):
        assert len(found) == len(cells)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["parquet", "arrow", "jsonl"])
@pytest.mark.parametrize(("kind", "cell"), [("booleans", [True, None]), ("strings", ["a", None])])
def test_a_list_that_no_array_can_hold_is_refused(kind, cell, suffix, score):
    found = _scored([KINDS[kind][1][0], cell], kind, suffix, score)
    (refused,) = Path("out.parquet.quarantine.jsonl").read_text().splitlines()
    assert list(found) == [0]
    assert json.loads(refused)["reason"].startswith(f"column '{kind}': expected Array")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_word_is_no_truth_value(suffix, score):
    cells = [True, "maybe", "tru", "no", "yes", "1.5x", None]
    rows = [{"id": at, "boolean": cell} for at, cell in enumerate(cells)]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    if suffix == "csv":
        text = pd.DataFrame(rows).to_csv(index=False)
    Path(f"rows.{suffix}").write_text(text)
    score(
        f"rows.{suffix}", "out.csv", model="optional", id_columns=("id",), limit=Limit.parse("100%")
    )
    quarantine = Path("out.csv.quarantine.jsonl").read_text().splitlines()
    refused = {json.loads(line)["row"]: json.loads(line)["reason"] for line in quarantine}
    assert refused == dict.fromkeys(range(1, 6), "column 'boolean': expected boolean")
    assert pd.read_csv("out.csv")["id"].tolist() == [0, 6]


@pytest.mark.parametrize("rows", [40, 5000])
def test_a_job_that_fails_tells_no_values(rows, score):
    frame = pd.DataFrame({"a": [13.0] * rows, "b": [4711] * rows, "c": ["Alice Liddell"] * rows})
    frame.to_parquet("rows.parquet")
    with pytest.raises(JobFailed, match="the model failed with ValueError") as failed:
        score("rows.parquet", "out.csv", model="talkative", part_rows=rows)
    said = str(failed.value)
    assert not [secret for secret in ("Alice", "13.0", "4711") if secret in said]


@pytest.mark.parametrize("types", [{"n": DataType.long}, {0: DataType.long}], ids=["named", "not"])
def test_a_large_whole_number_beside_a_gap_keeps_its_digits(types):
    place = Path("rows.parquet")
    pq.write_table(pa.table({"n": pa.array([2**53 + 1, None], pa.int64())}), place)
    schema = Schema([ColSpec("long", "n")])
    reader = input_format("parquet").reader(ReaderSettings(types=types, schema=schema))
    rows = reader.read(Part(0, str(place), "parquet", 0, 2))
    assert rows.inputs["n"].tolist() == [2**53 + 1]
    assert list(rows.refused) == [1]
