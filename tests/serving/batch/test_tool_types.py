"""Types in which other tools write numbers and text: taken where no value changes, else told."""

from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloche.serving.errors import JobFailed, TooManyBadRows

pytestmark = pytest.mark.xdist_group("batch")
LARGE = 2**53 + 1

TAKEN = {
    "text as whole numbers": ("string", pa.array([7, LARGE]), ["'7'", f"'{LARGE}'"]),
    "text as whole numbers with gaps": ("string", pa.array([7, None], pa.int8()), ["'7'", "nan"]),
    "whole numbers as floats": ("long", pa.array([7.0, 2.0**53]), ["7", str(2**53)]),
    "whole numbers as texts": ("long", pa.array(["7", f"{LARGE}.0"]), ["7", str(LARGE)]),
    "whole numbers as decimals": ("long", pa.array([Decimal(LARGE)]), [str(LARGE)]),
    "numbers as decimals": ("double", pa.array([Decimal("7.25"), None]), ["7.25", "nan"]),
    "numbers as texts": ("double", pa.array(["7.25", "1e2"]), ["7.25", "100.0"]),
    "numbers as whole ones": ("double", pa.array([7, 8], pa.uint8()), ["7.0", "8.0"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_a_type_that_changes_no_value_is_taken(kind, score):
    name, cells, expected = TAKEN[kind]
    pq.write_table(pa.table({name: cells}), "rows.parquet")
    score("rows.parquet", "out.parquet", model="optional")
    said = pd.read_parquet("out.parquet")["prediction"]
    assert [one.rpartition(" ")[2] for one in said] == expected


@pytest.mark.parametrize("part_rows", [1, 100])
def test_whole_numbers_of_csv_may_be_written_as_floats(part_rows, score):
    cells = ["7.0", "-3.", str(LARGE), f"{LARGE}.0", "1.5", "1e3", "", "9223372036854775808"]
    pd.DataFrame({"long": cells, "string": "x"}).to_csv("rows.csv", index=False)
    told = {"model": "optional", "part_rows": part_rows, "keep": True}
    done = score("rows.csv", "out.csv", **told)
    assert done.manifest["reasons"] == {"column 'long': expected long": 4}
    said = pd.read_csv("out.csv", dtype="str")
    numbers = ["7", "-3", str(LARGE), str(LARGE)]
    assert [one.split(" | ")[0].rpartition(" ")[2] for one in said["prediction"]] == numbers
    assert said["long"].tolist() == cells[:4]


@pytest.mark.parametrize(
    ("name", "cells", "said"),
    [
        ("string", [0.5, 7.0], "the column 'string' holds numbers, and the model takes string"),
        ("string", [True, False], "'string' holds true and false, and the model takes string"),
        (
            "boolean",
            [1, 0],
            "the column 'boolean' holds whole numbers, and the model takes boolean",
        ),
        ("long", [True, False], "the column 'long' holds true and false, and the model takes long"),
        ("datetime", [20240101], "'datetime' holds whole numbers, and the model takes datetime"),
    ],
)
def test_a_type_that_would_change_values_is_told_in_plain_words(name, cells, said, score):
    pq.write_table(pa.table({name: cells}), "rows.parquet")
    with pytest.raises((JobFailed, TooManyBadRows)) as failure:
        score("rows.parquet", "out.parquet", model="optional")
    assert said in str(failure.value)
    assert "Write it so in the input." in str(failure.value)
    mended = pd.Series(cells).astype(AS_IT_IS_TAKEN[name])
    pq.write_table(pa.table({name: mended}), "rows.parquet")
    done = score("rows.parquet", "out.parquet", model="optional", overwrite=True)
    assert done.manifest["refused"] == 0


AS_IT_IS_TAKEN = {"string": "str", "boolean": "bool", "long": "int64", "datetime": "datetime64[ns]"}
