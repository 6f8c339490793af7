"""Datetimes of every form reach a model in UTC, and one that cannot be read goes to quarantine."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from cloche.serving.batch.job.refusal_limit import Limit

pytestmark = pytest.mark.xdist_group("batch")

FORMS = [
    "2024-01-01T00:00:00Z", "2024-01-01T09:00:00+09:00", "2023-12-31 18:30:00-0530", "2024-01-01",
    "2024-01-01 00:00", "2024-01-01T00:00:00.000000000",
]  # fmt: skip
BAD = ["soon", "2024-02-30", "9999-12-31T00:00:00Z", "0001-01-01"]
CELLS = [*FORMS, *BAD, None, *FORMS]
MOMENT = "datetime64[ns] Timestamp Timestamp('2024-01-01 00:00:00')"


def written(cells, place):
    frame = pd.DataFrame({"datetime": pd.Series(cells, dtype="str"), "id": range(len(cells))})
    if place.suffix == ".csv":
        frame.to_csv(place, index=False)
    elif place.suffix == ".jsonl":
        rows = [{"datetime": cell, "id": at} for at, cell in enumerate(cells)]
        place.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    elif place.suffix == ".parquet":
        frame.to_parquet(place, row_group_size=4)
    else:
        feather.write_feather(frame, place, chunksize=4)
    return place


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "arrow"])
def test_texts_are_read_in_utc_and_a_bad_one_costs_its_own_row(suffix, score):
    source = written(CELLS, Path(f"rows.{suffix}"))
    limit = Limit.parse("100%")
    done = score(source, "out.parquet", model="optional", part_rows=5, limit=limit)
    assert (done.manifest["scored"], done.manifest["refused"]) == (len(CELLS) - len(BAD), len(BAD))
    said = pd.read_parquet("out.parquet")["prediction"]
    assert set(said) == {f"'datetime' {MOMENT}", "'datetime' datetime64[ns] NaTType NaT"}


ZONED = {
    "seconds": pa.timestamp("s", "Asia/Seoul"),
    "milliseconds": pa.timestamp("ms", "+05:30"),
    "microseconds": pa.timestamp("us", "UTC"),
    "nanoseconds": pa.timestamp("ns", "America/New_York"),
}


@pytest.mark.parametrize(
    ("unit", "suffix"), [*((unit, "parquet") for unit in ZONED), ("microseconds", "arrow")]
)
def test_columns_with_a_zone_are_read_in_utc(unit, suffix, score):
    midnight = pd.Timestamp("2024-01-01", tz="UTC")
    table = pa.table({"datetime": pa.array([midnight] * 6, ZONED[unit])})
    place = Path(f"rows.{suffix}")
    pq.write_table(table, place) if suffix == "parquet" else feather.write_feather(table, place)
    score(place, "out.parquet", model="optional", part_rows=4)
    assert set(pd.read_parquet("out.parquet")["prediction"]) == {f"'datetime' {MOMENT}"}


def test_a_moment_beyond_nanoseconds_costs_its_own_row(score):
    cells = pa.array([0, 253402214400, 1], pa.timestamp("s"))  # the second is in the year 9999
    pq.write_table(pa.table({"datetime": cells}), "rows.parquet")
    limit = Limit.parse("100%")
    done = score("rows.parquet", "out.parquet", model="optional", limit=limit)
    assert (done.manifest["scored"], done.manifest["refused"]) == (2, 1)
    assert done.manifest["reasons"] == {"column 'datetime': expected datetime": 1}
