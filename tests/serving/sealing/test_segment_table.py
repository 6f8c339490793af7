"""The table that a segment becomes: every value is what the host or the front had."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cloche.prediction_log.columns import COLUMNS
from cloche.prediction_log.parquet import by_day, parquet
from cloche.serving.sealing import segment_table
from cloche.serving.sealing.segment_table import predictions_table
from cloche.serving.spool.segment import array_cells
from tests.serving.sealing.spooled import DAY, HEADER, NOON, failure, request

Record = list[Any]


def table_of(*records: Record, inputs: Any = (), hashed: Any = ()) -> pa.Table:
    header = HEADER | {"inputs": list(inputs), "hashed": list(hashed)}
    table = predictions_table("0192abcd", header, list(records))
    read = pa.parquet.read_table(pa.BufferReader(parquet(table, {"cloche.model": "m"})))
    assert read.schema.metadata == {b"cloche.model": b"m", b"cloche.schema": b"1"}
    assert read.schema.equals(table.schema), "a file reads back with the types it was made of"
    assert str(read.to_pylist()) == str(table.to_pylist())  # NaN does not equal NaN
    return read


def column(name: str, cells: Any, kind: str | None = None) -> pa.ChunkedArray:
    """The column that cells of one record become, with a type in the signature or without."""
    rows = len(cells) if isinstance(cells, list) else 2
    inputs = [[name, kind]] if kind else []
    return table_of([[request("r", rows=rows)], {name: cells}, None], inputs=inputs)[f"i_{name}"]


def numpy_cells(values: Any, dtype: str) -> Any:
    return array_cells(np.dtype(dtype).str, np.asarray(values, dtype).tobytes())


def test_a_request_has_a_row_for_each_prediction_and_a_failure_has_one() -> None:
    """Failures lie between answers, without inputs and outputs."""
    found = table_of(
        [[request("r1", NOON, 2, prediction_id=["x", None]), request("r2", NOON + 1)],
         {"a": [1.5, 2.5, 3.5]}, {"": [10.0, 20.0, 30.0]}],
        [[failure("r3", NOON + 2)], None, None],
        [[request("r4", NOON + 3, arm="canary", prediction_id="y"), failure("r5", NOON + 4)],
         {"a": [4.5]}, {"": [40.0]}],
        inputs=[["a", "double"]],
    )  # fmt: skip
    assert found["request_id"].to_pylist() == ["r1", "r1", "r2", "r3", "r4", "r5"]
    assert found["row"].to_pylist() == [0, 1, 0, 0, 0, 0]
    assert found["place"].to_pylist() == [0, 1, 2, 3, 4, 5]
    assert found["i_a"].to_pylist() == [1.5, 2.5, 3.5, None, 4.5, None]
    assert found["o_"].to_pylist() == [10.0, 20.0, 30.0, None, 40.0, None]
    assert found["status"].to_pylist() == [200, 200, 200, 429, 200, 429]
    assert found["reason"].to_pylist() == [None, None, None, "TOO_MANY", None, "TOO_MANY"]
    assert found["prediction_id"].to_pylist() == ["x", None, None, None, "y", None]
    assert found["arm"].to_pylist()[4] == "canary"
    assert set(found["version"].to_pylist()) == {"7"}
    assert found["received_at"][0].as_py() == datetime(2025, 12, 1, 12, tzinfo=UTC)
    assert found.schema.names[: len(COLUMNS)] == COLUMNS.names


def test_rows_are_sorted_by_time_and_keep_their_place() -> None:
    """Replicas' batches and retries come late; the identifier of a row must not change."""
    found = table_of(
        [[request("late", NOON + 9)], None, {"": [1]}], [[request("early", NOON)], None, {"": [2]}]
    )
    assert found["request_id"].to_pylist() == ["early", "late"]
    assert found["place"].to_pylist() == [1, 0]
    assert found["o_"].to_pylist() == [2, 1]


def test_columns_that_some_records_lack_are_null_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also across the chunks in which a segment is converted."""
    monkeypatch.setattr(segment_table, "_CHUNK_ROWS", 2)
    found = table_of(
        [[request("r1")], {"a": [1.0]}, {"x": [1]}],
        [[request("r2")], None, {"x": [2]}],
        [[request("r3")], {"b": ["s"]}, None],
        [[request("r4")], {"a": [4.0], "b": [None]}, {"x": [4]}],
        inputs=[["a", "double"], ["b", "string"]],
    )
    assert found["i_a"].to_pylist() == [1.0, None, None, 4.0]
    assert found["i_b"].to_pylist() == [None, None, "s", None]
    assert found["o_x"].to_pylist() == [1, 2, None, 4]


@pytest.mark.parametrize(
    ("kind", "cells", "expected"),
    [
        ("boolean", [True, None], pa.bool_()),
        ("integer", [1, -(2**31)], pa.int32()),
        ("long", [2**63 - 1, None], pa.int64()),
        ("double", [0.1, float("inf")], pa.float64()),
        ("double", [1, 2.5], pa.float64()),
        ("float", [0.5, None], pa.float32()),
        ("float", [0.5, float("inf")], pa.float32()),
        ("float", [0.1, 0.2], pa.float64()),  # the client's digits
        ("string", ["é", ""], pa.string()),
        ("binary", [b"\0\xff", None], pa.binary()),
        ("long", [2**64, 1], pa.string()),  # what fits no type is text
        ("double", ["many", 1.5], pa.string()),
        ("integer", [2**31, 1], pa.int64()),
    ],
)
def test_a_cell_has_the_type_of_the_signature_if_it_fits_exactly(
    kind: str, cells: list[Any], expected: pa.DataType
) -> None:
    """Nothing is rounded, cut or lost."""
    found = column("a", cells, kind)
    assert found.type == expected
    as_text = [one if one is None or isinstance(one, str) else str(one) for one in cells]
    assert found.to_pylist() == (as_text if expected == pa.string() else cells)


@pytest.mark.parametrize(
    ("dtype", "values", "kind", "expected"),
    [
        ("<f8", [1.0, 2.0], "double", pa.float64()),
        ("<f4", [0.1, 0.2], "float", pa.float32()),
        (">f4", [0.1, 0.2], None, pa.float32()),
        ("<f2", [0.5, 0.25], None, pa.float32()),
        ("<i8", [2**62, -1], "long", pa.int64()),
        ("<i8", [3, -1], "double", pa.float64()),
        ("<i8", [2**53 + 1, 1], "double", pa.int64()),  # no double is that number
        ("<f8", [3.0, np.nan], "long", pa.int64()),  # pandas has missing integers as NaN
        ("<f8", [3.5, 1.0], "long", pa.float64()),
        ("<f8", [np.nan, 1.0], "double", pa.float64()),
        ("|b1", [True, False], "boolean", pa.bool_()),
        ("<u8", [2**64 - 1, 0], None, pa.uint64()),
    ],
)
def test_an_array_keeps_every_value(
    dtype: str, values: list[Any], kind: str | None, expected: pa.DataType
) -> None:
    """As the host computed it, whatever its byte order."""
    found = column("a", numpy_cells(values, dtype), kind)
    assert found.type == expected
    given = np.asarray(values, dtype).tolist()
    if kind == "long" and expected == pa.int64():
        given = [None if np.isnan(one) else one for one in given]
    np.testing.assert_array_equal(
        [np.nan if one is None else one for one in found.to_pylist()],
        [np.nan if one is None else one for one in given],
    )


@pytest.mark.parametrize(
    ("cells", "unit"),
    [
        (numpy_cells(["2025-12-01T10:00:00.123456", "NaT"], "<M8[ns]"), "us"),
        (numpy_cells(["2025-12-01T10:00:00.123456", "NaT"], "<M8[us]"), "us"),
        (numpy_cells(["2025-12-01", "NaT"], "<M8[D]"), "us"),
        (numpy_cells(["2025-12-01T10:00:00.123456789", "NaT"], "<M8[ns]"), "ns"),
        (["2025-12-01T11:00:00.123456+01:00", None], "us"),
        (["2025-12-01T10:00:00.123456", None], "us"),
    ],
)
def test_datetimes_are_in_utc_and_exact(cells: Any, unit: str) -> None:
    """Microseconds, which every reader has; nanoseconds where there are some."""
    found = column("a", cells, "datetime")
    assert found.type == pa.timestamp(unit)
    first, second = found.cast(pa.timestamp("ns")).to_numpy()
    assert str(first).startswith("2025-12-01T")
    assert np.isnat(second)
    assert str(first)[11:13] in ("10", "00")


def test_datetimes_that_are_none_stay_texts() -> None:
    """A refused cell is never logged, but a model without enforcement takes any."""
    found = column("a", ["yesterday", "2025-12-01"], "datetime")
    assert found.to_pylist() == ["yesterday", "2025-12-01"]


def test_forms_of_a_column_that_differ_between_records_unite_exactly() -> None:
    """One record has a list where another has an array, or integers where it has floats."""
    found = table_of(
        [[request("r1", rows=2)], None, {"x": [1, None]}],
        [[request("r2", rows=2)], None, {"x": numpy_cells([0.5, 1.5], "<f8")}],
        [[request("r3")], None, {"y": ["text"]}],
        [[request("r4")], None, {"y": numpy_cells([3], "<i8")}],
    )
    assert found["o_x"].to_pylist() == [1.0, None, 0.5, 1.5, None, None]
    assert found["o_y"].to_pylist() == [None] * 4 + ["text", "3"]


def test_outputs_of_several_numbers_are_lists() -> None:
    """Probabilities of classes, without names."""
    cells = numpy_cells([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]], "<f4")
    found = table_of([[request("r", rows=3)], None, {"": cells}])
    assert found["o_"].type == pa.list_(pa.float32())
    assert found["o_"].to_pylist() == [[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]]


def test_what_was_scored_alone_comes_as_an_arrow_stream() -> None:
    """Its columns keep their types, beside records of the other form."""
    alone = pa.table({"a": [1.5, None], "s": pa.array(["x", "y"], pa.large_string())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, alone.schema) as stream:
        stream.write_table(alone)
    found = table_of(
        [[request("r1", rows=2)], {"": sink.getvalue().to_pybytes()}, None],
        [[request("r2")], {"a": [2.5], "s": ["z"]}, None],
        inputs=[["a", "double"], ["s", "string"]],
    )
    assert found["i_a"].to_pylist() == [1.5, None, 2.5]
    assert found["i_s"].to_pylist() == ["x", "y", "z"]
    assert found["i_s"].type == pa.string()


def test_hashed_columns_are_texts() -> None:
    """Whatever type the signature has for what was hashed."""
    found = table_of([[request("r")], {"a": ["ab12"]}, None], inputs=[["a", "long"]], hashed=["a"])
    assert found["i_a"].to_pylist() == ["ab12"]


def test_days_are_those_of_utc() -> None:
    """A segment that was open at midnight becomes two files."""
    moments = [NOON, NOON + DAY // 2 - 1, NOON + DAY // 2]
    found = table_of(*([[request(f"r{m}", m)], None, {"": [1]}] for m in moments))
    days = [(str(day), len(part)) for day, part in by_day(found)]
    assert days == [("2025-12-01", 2), ("2025-12-02", 1)]
