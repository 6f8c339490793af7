"""Tables from every kind of source, and what is said when one cannot be read."""

import bz2
import gzip
import lzma
import sqlite3
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloche.training.dataset.reading.sources import load_table
from cloche.training.errors import DataError
from cloche.training.recipe.sections import Data
from tests import broken_servers

SMALL = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


def read(source, columns=None, **section):
    return load_table(Data.model_validate({"source": str(source), **section}), columns)


def problems(source, columns=None, **section):
    with pytest.raises(DataError) as caught:
        read(source, columns, **section)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.zip", "t.parquet"])
def test_a_file_is_read_by_its_name(tmp_path, name):
    path = tmp_path / name
    SMALL.to_parquet(path) if name.endswith("parquet") else SMALL.to_csv(path, index=False)
    table = read(path)
    pd.testing.assert_frame_equal(table.frame, SMALL)
    assert table.source == str(path)
    assert read(path, ["b"]).frame.columns.tolist() == ["b"]


def test_decimals_are_numbers_as_a_batch_job_gives_them_to_models(tmp_path):
    table = pa.table(
        {
            "price": pa.array([Decimal("1.25"), None], pa.decimal128(10, 2)),
            "count": pa.array([Decimal(3), Decimal(4)], pa.decimal128(10, 0)),
            "large": pa.array([Decimal(10**30), None], pa.decimal128(38, 0)),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    expected = pd.DataFrame({"price": [1.25, np.nan], "count": [3, 4], "large": [1e30, np.nan]})
    pd.testing.assert_frame_equal(read(tmp_path / "t.parquet").frame, expected)
    assert read(tmp_path / "t.parquet", ["count"]).frame["count"].dtype == np.int64


def test_several_files_are_one_table_in_the_order_of_their_names(tmp_path):
    for number in (3, 1, 2):
        SMALL.assign(a=number).to_csv(tmp_path / f"part-{number}.csv", index=False)
    (tmp_path / "_SUCCESS.csv").write_text("")
    (tmp_path / "notes.md").write_text("not a table")
    for source in (tmp_path / "part-*.csv", tmp_path):
        table = read(source)
        assert table.frame["a"].tolist() == [1, 1, 2, 2, 3, 3]
        assert table.frame.index.tolist() == list(range(6))


def test_folders_below_are_read_too(tmp_path):
    for month in ("01", "02"):
        (tmp_path / month).mkdir()
        SMALL.to_parquet(tmp_path / month / "part.parquet")
    assert len(read(tmp_path).frame) == 4
    assert len(read(tmp_path / "**" / "*.parquet").frame) == 4


def test_files_whose_columns_differ_are_named_with_the_difference(tmp_path):
    SMALL.to_csv(tmp_path / "1.csv", index=False)
    SMALL.rename(columns={"b": "c"}).to_csv(tmp_path / "2.csv", index=False)
    said = problems(tmp_path)
    assert "2.csv: its columns differ from those of" in said
    assert "lacks b and adds c" in said


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("blank.csv", b"\n\n", "is empty"),
        ("pickle.pkl", b"\x80\x05\0\0", "is binary, and no text"),
        ("wide.csv", "a,b\n1,2\n".encode("utf-16"), "set data.options.encoding"),
        ("parquet.csv", b"PAR1....", "set data.format: parquet"),
        ("cut.csv.zst", b"no zstd", "cannot be read"),
        ("cut.tar.gz", b"no tar", "cannot be read"),
        ("broken.csv.gz", b"no gzip at all", "cannot be read"),
        ("short.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:-9], "cannot be read"),
        ("broken.csv.zip", b"no zip at all", "is no CSV table"),
        ("broken.parquet", b"no parquet at all", "is no Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    assert message in problems(tmp_path / name)


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_the_rows_of_every_packed_stream_are_read_or_none(suffix, pack, tmp_path):
    place = tmp_path / f"rows.csv.{suffix}"
    place.write_bytes(pack(b"a,b\n1,2\n") + pack(b"3,4\n"))
    assert read(place).frame["a"].tolist() == [1, 3]
    place.write_bytes(pack(b"a,b\n1,2\n") + b"?" + pack(b"3,4\n")[1:])
    assert "cannot be read" in problems(place)


def test_options_that_the_reader_does_not_know_are_named(tmp_path):
    SMALL.to_csv(tmp_path / "t.csv", index=False)
    SMALL.to_parquet(tmp_path / "t.parquet")
    assert "separator" in problems(tmp_path / "t.csv", options={"separator": ";"})
    assert "data.options" in problems(tmp_path / "t.parquet", options={"sep": ";"})
    assert "data.options" in problems(tmp_path / "t.csv", options={"encoding": "klingon"})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtype": "float"}, "could not convert string to float: …"),
        ({"dtype": {"b": "int"}}, "invalid literal for int() with base 10: …"),
        ({"parse_dates": ["c"]}, "Missing column provided to 'parse_dates': 'c'"),
    ],
)
def test_what_pandas_says_of_a_cell_is_told_without_it(tmp_path, options, said):
    (tmp_path / "t.csv").write_text("a,b\nsecret,secret\n")
    found = problems(tmp_path / "t.csv", options=options)
    assert said in found
    assert "secret" not in found


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_absent_columns_are_all_named_with_the_nearest(tmp_path, name):
    path = tmp_path / name
    table = SMALL.rename(columns={"a": "carrier", "b": "origin"})
    table.to_parquet(path) if name.endswith("parquet") else table.to_csv(path, index=False)
    said = problems(path, ["carier", "orgin", "origin"])
    assert "no column 'carier'; did you mean 'carrier'?" in said
    assert "no column 'orgin'; did you mean 'origin'?" in said


def test_what_is_not_there_is_said(tmp_path):
    (tmp_path / "nothing").mkdir()
    assert "there is no directory" in problems(tmp_path / "absent" / "flights.csv")
    assert "no file matches" in problems(tmp_path / "*.parquet")
    assert "holds no CSV or Parquet files" in problems(tmp_path / "nothing")


def test_labelled_lines_are_split_at_the_last_bar(tmp_path):
    path = tmp_path / "lines.txt"
    for labels in ([1, 0], ["pos", "neg"]):
        path.write_text(f"a|b|{labels[0]}\r\n\nc, d|{labels[1]}\n")
        frame = read(path, format="labelled-lines").frame
        assert frame.to_dict("list") == {"text": ["a|b", "c, d"], "label": labels}


@pytest.mark.parametrize(
    ("content", "section", "message"),
    [
        (b"a|1\nno bar\n", {}, "line 2: expected text|label"),
        (b"a|1\nb|\nc\n", {}, "line 2 and 1 more lines: expected text|label"),
        ("가|1\n".encode("cp949"), {}, "set data.options.encoding"),
        (b"a|1\n", {"options": {"encoding": "klingon"}}, "'klingon' is not known"),
        (b"\x00\x01|1", {}, "is binary"),
    ],
)
def test_lines_without_labels_are_named_and_never_quoted(tmp_path, content, section, message):
    (tmp_path / "lines.txt").write_bytes(content)
    said = problems(tmp_path / "lines.txt", format="labelled-lines", **section)
    assert message in said
    assert "no bar" not in said


def test_a_query_is_read_from_a_database(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        SMALL.to_sql("orders", connection, index=False)
    connection.close()
    table = read(f"sqlite:///{tmp_path}/shop.db", query="SELECT * FROM orders WHERE a > 1")
    assert table.frame.to_dict("list") == {"a": [2], "b": ["y"]}
    assert "no such table: order" in problems(
        f"sqlite:///{tmp_path}/shop.db", query="SELECT * FROM order_lines"
    )
    assert "selects no rows" in problems(
        f"sqlite:///{tmp_path}/shop.db", query="SELECT * FROM orders WHERE a > 9"
    )
    assert "did you mean 'a'" in problems(
        f"sqlite:///{tmp_path}/shop.db", ["A"], query="SELECT * FROM orders"
    )


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    assert "no such file" in problems(f"sqlite:///{tmp_path}/shop.db", query="SELECT 1")
    assert not (tmp_path / "shop.db").exists()


def test_a_password_comes_from_the_environment_and_is_never_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    with pytest.raises(DataError) as caught:
        read("nodialect://me:${DB_PASSWORD}@db/shop", query="SELECT 1")
    assert "hunter2" not in str(caught.value)
    assert "me:***@db" in str(caught.value)


def test_a_table_comes_from_the_web_and_its_key_stays_secret(web):
    assert read(f"{web}/t.csv?key=hunter2").source == f"{web}/t.csv"


def test_a_variable_in_a_web_address_is_not_shown(web, monkeypatch):
    monkeypatch.setenv("TOKEN", "hunter2")
    with pytest.raises(DataError, match="the server answers 404") as caught:
        read(f"{web}/${{TOKEN}}/gone.csv")
    assert "hunter2" not in str(caught.value)


def test_a_body_beyond_the_bound_is_refused(web):
    from cloche.training.dataset.reading.download import download

    with (
        pytest.raises(DataError, match=r"is larger .*; download it yourself, and name the file"),
        download(f"{web}/t.csv", "t.csv", max_bytes=3),
    ):
        pass
    with download(f"{web}/t.csv", "t.csv") as file:
        assert len(read(file).frame) == 1


def stalls(handler, _):
    """It sends the head of a table, and no more."""
    handler.send_response(200)
    handler.end_headers()
    broken_servers.silent(handler, b"")


def test_a_server_that_is_slow_or_away_is_asked_again_at_its_address(web, monkeypatch):
    for slow in (broken_servers.silent, stalls):
        with broken_servers.answering(slow) as url, monkeypatch.context() as patch:
            patch.setattr("cloche.training.dataset.reading.download.READ_SECONDS", 0.2)
            assert problems(f"{url}/t.csv").endswith("in time; try again")
    with broken_servers.away() as url:
        said = problems(f"{url}/t.csv?key=hunter2")
    assert "cannot be reached" in said
    assert said.endswith("check the address")
    assert "hunter2" not in said
    assert len(read(f"{web}/t.csv").frame) == 1


def test_samples_are_known_by_name():
    assert "did you mean 'alcohol'?" in problems("sample:wine", ["alcohool"])
    assert read("sample:wine", ["alcohol", "cultivar"]).frame.shape == (178, 2)


def test_equal_content_has_an_equal_digest_whatever_the_source(tmp_path):
    SMALL.to_csv(tmp_path / "1.csv", index=False)
    SMALL.to_csv(tmp_path / "2.csv.gz", index=False)
    first, second = read(tmp_path / "1.csv"), read(tmp_path / "2.csv.gz")
    assert first.digest == second.digest
    assert Path(first.source) != Path(second.source)
