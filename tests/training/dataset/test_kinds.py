"""Columns of every kind, and sources of every kind that are no table: sentences, and no traces."""

import datetime
import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloche.training.dataset.checks.duplicates import record_numbers
from cloche.training.dataset.first_recipe.draft import draft_recipe
from cloche.training.dataset.reading.digest import frame_digest
from cloche.training.dataset.reading.parquet import read_parquet, write_parquet
from cloche.training.dataset.reading.sources import load_table
from cloche.training.errors import ClocheError, DataError
from cloche.training.recipe.sections import Data
from tests.training.dataset.conftest import ANSWERS

MOMENT = datetime.datetime(2020, 1, 2)  # noqa: DTZ001  # times of tables have none
LATER = MOMENT.replace(day=3)
KINDS: dict[str, pa.Array] = {
    "struct": pa.array([{"a": 1}, {"a": 2}, None]),
    "list": pa.array([[1, 2], [3], None]),
    "map": pa.array([[("k", 1)], [("j", 2)], None], pa.map_(pa.string(), pa.int64())),
    "list of structs": pa.array([[{"a": 1}], [], None]),
    "struct of lists": pa.array([{"a": [1]}, {"a": [2]}, None]),
    "decimal": pa.array([decimal.Decimal("1.1"), decimal.Decimal("2.2"), None]),
    "date": pa.array([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), None]),
    "time": pa.array([datetime.time(1), datetime.time(2), None]),
    "timestamp": pa.array([MOMENT, LATER, None], pa.timestamp("us")),
    "zoned": pa.array([MOMENT, LATER, None], pa.timestamp("us", tz="Asia/Seoul")),
    "far": pa.array([MOMENT.replace(year=9999), MOMENT, None], pa.timestamp("us")),
    "duration": pa.array([1, 2, None], pa.duration("s")),
    "binary": pa.array([b"a", b"\xff", None]),
    "fixed": pa.array([b"ab", b"cd", None], pa.binary(2)),
    "dictionary": pa.array(["a", "b", None]).dictionary_encode(),
    "null": pa.nulls(3),
    "bool": pa.array([True, False, None]),
    "half": pa.array(np.array([0.5, 1, 2], dtype=np.float16)),
    "large": pa.array(["a", "b", None], pa.large_string()),
    "unsigned": pa.array([2**64 - 1, 1, None], pa.uint64()),
}

USELESS = {*list(KINDS)[:5], "far", "binary", "fixed", "null"}  # as features


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_of_any_kind_can_be_judged_on_and_passes_to_another_process(kind, tmp_path):
    path = tmp_path / "table.parquet"
    column = pa.concat_arrays([KINDS[kind]] * 4)
    pq.write_table(pa.table({"x": column, "n": range(12), "y": [0, 1] * 6}), path)

    table = load_table(Data(source=str(path)))

    assert len(record_numbers(table.frame, ["x", "n"], "y")) == 12
    write_parquet(table.frame, tmp_path / "passed.parquet", "rows")
    passed = read_parquet(tmp_path / "passed.parquet")
    assert frame_digest(passed) == table.digest
    assert list(map(type, passed["x"])) == list(map(type, table.frame["x"]))
    if kind in USELESS:
        with pytest.raises(DataError, match="no column can be a feature: x: "):
            draft_recipe(table, Data(source=str(path)), "y")
    else:
        assert "x" in draft_recipe(table, Data(source=str(path)), "y")


def test_mappings_keep_their_own_keys_and_tables_that_differ_have_other_digests(tmp_path):
    frame = pd.DataFrame({"x": [{"k": 1}, {"j": 2, "l": 3}, None]})
    write_parquet(frame, tmp_path / "maps.parquet", "rows")
    assert read_parquet(tmp_path / "maps.parquet")["x"].tolist() == frame["x"].tolist()
    long = pd.DataFrame({"x": [np.arange(5_000)]})
    other = pd.DataFrame({"x": [np.where(np.arange(5_000) == 2_500, 0, np.arange(5_000))]})
    assert frame_digest(long) != frame_digest(other)


@pytest.mark.parametrize("path", ["", "/", "/..", "/table.csv", f"/{'long' * 90}.csv", "/a%00.csv"])
def test_a_table_in_the_web_is_read_whatever_its_path_is(web, path):
    assert load_table(Data(source=f"{web}{path}")).frame.to_dict("list") == {"x": [1], "y": [2]}


@pytest.mark.parametrize(
    "source",
    [
        *(f"{{web}}{path}" for path in ANSWERS),
        *("http://", "http:///x", "https://", "http://[::1", "http://127.0.0.1:99999/x.csv"),
        *("http:/x.csv", "http:x", "http://*.com/x.csv", "http://\0/x"),
        *("https://127.0.0.1:1/x.csv", f"http://{'a' * 300}.com/x"),
        *("ftp://x/y.csv", "file:///x.csv", "s3://bucket/x.csv", "weird://x", "mysql://x/y"),
        *("sqlite:////tmp", "sample:", "absent/", ".", "[", "~nobody/x.csv"),
        *("\0", f"{'a' * 300}.csv", "/dev/null", "/proc/self/mem"),
    ],
)
def test_what_is_no_table_is_refused_in_a_sentence(web, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = source.replace("{web}", web)
    database = "://" in source and not source.startswith("http")
    with pytest.raises(ClocheError) as refused:
        load_table(Data(source=source, query="SELECT 1 AS x" if database else None))
    assert len(str(refused.value).splitlines()) >= 2
    assert "Traceback" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(
            ("t.csv", options)
            for options in (
                {"sep": 5}, {"encoding": "nope"}, {"usecols": ["z"]}, {"index_col": "z"},
                {"nope": 1}, {"chunksize": 1}, {"iterator": True}, {"dtype": {"a": "nope"}},
                {"dtype": {"a": "int8"}}, {"skiprows": 99}, {"header": 99}, {"engine": "nope"},
                {"compression": "nope"}, {"names": ["a", "a"]}, {"converters": {"a": "x"}},
                {"dialect": "z"}, {"nrows": -1},
            )
        ),
        *(
            ("t.parquet", options)
            for options in (
                {"engine": "nope"}, {"columns": ["z"]}, {"filters": 5},
                {"filters": [("z", "=", 1)]}, {"dtype_backend": "nope"}, {"nope": 1},
                {"filesystem": "x"}, {"storage_options": {"a": 1}},
            )
        ),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused_in_a_sentence(name, options, tmp_path: Path):
    (tmp_path / "t.csv").write_text("a,b\nx,2\n")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError):
        load_table(Data(source=str(tmp_path / name), options=options))
