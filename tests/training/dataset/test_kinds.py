"""Columns of every kind, and sources of every kind that are no table: sentences, and no traces."""

import datetime
import decimal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

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


def test_a_column_of_several_types_is_named(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "mixed": pd.Series([1, "x"], dtype=object)})
    with pytest.raises(DataError, match=r"mixed: holds values of different types \(int, str\)"):
        write_parquet(frame, tmp_path / "mixed.parquet", "rows")


ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/gone.csv": (404, {}, b""),
    "/loop.csv": (302, {"Location": "/loop.csv"}, b""),
    "/lost.csv": (302, {"Location": "http://[bad"}, b""),
    "/short.csv": (200, {"Content-Length": "100"}, b"x,y\n1,2\n"),
    "/chunks.csv": (200, {"Transfer-Encoding": "chunked"}, b"zz\r\nfoo"),
    "/unpacked.csv": (200, {"Content-Encoding": "gzip"}, b"x,y\n1,2\n"),
    "/empty.csv": (200, {}, b""),
    "/page.csv": (200, {}, b"<!DOCTYPE html><html><body>\n<p>Sign in, please</p></body></html>"),
    "/rows.json": (200, {}, b'[{"x": 1}]'),
    "/no.parquet": (200, {}, b"x,y\n1,2\n"),
    "/no.csv.gz": (200, {}, b"x,y\n1,2\n"),
}


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """The address of a server that has a table at any path but those of `ANSWERS`."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            status, headers, body = ANSWERS.get(self.path, (200, {}, b"x,y\n1,2\n"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["", "/", "/..", "/table.csv", f"/{'long' * 90}.csv", "/a%00.csv"])
def test_a_table_in_the_web_is_read_whatever_its_path_is(web, path):
    assert load_table(Data(source=f"{web}{path}")).frame.to_dict("list") == {"x": [1], "y": [2]}


@pytest.mark.parametrize(
    "source",
    [
        *(f"{{web}}{path}" for path in ANSWERS),
        *("http://", "http:///x", "https://", "http://[::1", "http://127.0.0.1:99999/x.csv"),
        *("http://127.0.0.1:1/x.csv", "http:/x.csv", "http:x", "http://*.com/x.csv", "http://\0/x"),
        *("https://127.0.0.1:1/x.csv", f"http://{'a' * 300}.com/x"),
        *("ftp://x/y.csv", "file:///x.csv", "s3://bucket/x.csv", "weird://x", "mysql://x/y"),
        *("sqlite:///absent.db", "sqlite:////tmp", "sample:nothing", "sample:"),
        *("absent.csv", "absent/", "absent/x.csv", ".", "*.nothing", "[", "~nobody/x.csv"),
        *("\0", f"{'a' * 300}.csv", "${ABSENT_VARIABLE}", "/dev/null", "/proc/self/mem"),
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


FILES = {
    "book.xlsx": b"PK\x03\x04" + bytes(30),
    "pickle.pkl": b"\x80\x05\0\0",
    "table.arrow": b"ARROW1\0\0",
    "bad.parquet": b"PAR1xxxx",
    "rows.json": b'[{"a": 1}]',
    "rows.jsonl": b'{"a": 1}\n{"a": 2}\n',
    "page.html": b"<html></html>",
    "cut.csv.zip": b"no zip",
    "cut.csv.gz": b"no gzip",
    "cut.csv.xz": b"no xz",
    "cut.csv.bz2": b"no bzip2",
    "cut.csv.zst": b"no zstd",
    "cut.tar.gz": b"no tar",
    "wide.csv": "a,b\n1,2\n".encode("utf-16"),
    "header.csv": b"a,b\n",
    "empty.csv": b"",
    "lines.csv": b"\n\n",
    "quote.csv": b'a,b\n"1,2\n',
}


@pytest.mark.parametrize(
    "form",
    [
        "auto",
        *(
            pytest.param(form, marks=pytest.mark.breadth)
            for form in ("csv", "parquet", "labelled-lines")
        ),
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_something_else_is_refused_in_a_sentence(name, form, tmp_path):
    (tmp_path / name).write_bytes(FILES[name])
    with pytest.raises(DataError):
        load_table(Data(source=str(tmp_path / name), format=form))


@pytest.mark.parametrize(
    "options",
    [
        *({"sep": 5}, {"encoding": "nope"}, {"usecols": ["z"]}, {"index_col": "z"}, {"nope": 1}),
        *({"chunksize": 1}, {"iterator": True}, {"dtype": {"a": "nope"}}, {"dtype": {"a": "int8"}}),
        *({"skiprows": 99}, {"header": 99}, {"engine": "nope"}, {"compression": "nope"}),
        *({"names": ["a", "a"]}, {"converters": {"a": "x"}}, {"dialect": "z"}, {"nrows": -1}),
    ],
)
def test_options_that_do_not_fit_are_refused_in_a_sentence(options, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\nx,2\n")
    with pytest.raises(DataError):
        load_table(Data(source=str(tmp_path / "t.csv"), options=options))


@pytest.mark.parametrize(
    "options",
    [
        *({"engine": "nope"}, {"columns": ["z"]}, {"filters": 5}, {"filters": [("z", "=", 1)]}),
        *(
            {"dtype_backend": "nope"},
            {"nope": 1},
            {"filesystem": "x"},
            {"storage_options": {"a": 1}},
        ),
    ],
)
def test_options_of_parquet_that_do_not_fit_are_refused_in_a_sentence(options, tmp_path: Path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError):
        load_table(Data(source=str(tmp_path / "t.parquet"), options=options))
