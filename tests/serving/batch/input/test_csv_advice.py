"""Odd tables are scored as they are, or end in one sentence with a fix: it is typed, and works."""

import contextlib
import io
import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from cloche.serving.batch.input import inputs
from cloche.serving.batch.input.csv_advice import guessed_encoding, written
from cloche.serving.batch.input.csv_options import parsed
from cloche.serving.batch.job.refusal_limit import Limit
from cloche.serving.errors import JobFailed, SettingsError, TooManyBadRows
from tests import advice

pytestmark = pytest.mark.xdist_group("batch")
COMMENTS = Schema([ColSpec("string", "댓글"), ColSpec("double", "점수")])
PLAIN = "댓글,점수,id\n좋은 하루,1.5,1\n나쁜 하루,2,2\n"
ROWS = """string,double,long,datetime,boolean
가나,1234.5,7,2024-02-13,true
다라,2,1234,2024-02-14,false
"""


@pytest.fixture
def comments(made_models, tmp_path) -> str:
    """A model of two columns with Korean names, which says what reaches it."""
    place = shutil.copytree(made_models / "seen", tmp_path / "comments")
    description = mlflow.models.Model.load(place)
    description.signature = ModelSignature(COMMENTS)
    description.save(str(place / "MLmodel"))
    return f"file:{place}"


def advised(message: str) -> list[dict[str, Any]]:
    """What is typed after each `--options` of a message."""
    typed = [shlex.split(one)[0] for one in message.split("--options ")[1:]]
    return [parsed(one) for one in typed]


HEADERS: dict[str, tuple[bytes, str]] = {
    "semicolons": (PLAIN.replace(",", ";").encode(), "divided by ';'"),
    "tabs": (PLAIN.replace(",", "\t").encode(), "divided by tabs"),
    "pipes": (PLAIN.replace(",", "|").encode(), "divided by '|'"),
    "spaces before": (PLAIN.replace(",", ", ").encode(), "spaces stand before"),
    "spaces after": (PLAIN.replace("점수,", "점수 ,").encode(), "'점수 ' for '점수'"),
    "decomposed": (unicodedata.normalize("NFD", PLAIN[:5]).encode() + PLAIN[5:].encode(), "NFD"),
    "cp949": (PLAIN.encode("cp949"), "written in cp949"),
    "cp949 with semicolons": (PLAIN.replace(",", ";").encode("cp949"), "cp949 and its fields"),
    "utf-16": (PLAIN.encode("utf-16"), "written in utf-16"),
    "utf-16 of Excel": (PLAIN.replace(",", "\t").encode("utf-16"), "utf-16 and its fields"),
    "no header": (PLAIN.partition("\n")[2].encode(), "seems to be a row"),
}  # fmt: skip


@pytest.mark.parametrize("odd", HEADERS)
def test_a_table_that_lacks_columns_is_told_how_it_is_read(odd, comments, score):
    content, why = HEADERS[odd]
    Path("d.csv").write_bytes(content)
    Path("plain.csv").write_text(PLAIN)
    wanted = predicted(score, "plain.csv", model=comments)

    with pytest.raises(JobFailed, match=r"d\.csv") as failure:
        score("d.csv", "out.csv", model=comments)

    message = str(failure.value)
    assert why.lower() in message.lower()
    assert "하루" not in message
    (options,) = advised(message)
    if odd == "no header":
        assert options == {"header": "null", "names": ["FIRST", "SECOND"]}
        options["names"] = ["댓글", "점수", "id"]
    assert predicted(score, "d.csv", model=comments, options=options) == wanted


OTHERS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "Parquet": ("d.csv", lambda path: plain().to_parquet(path), "--input-format parquet"),
    "Parquet as data": ("d.dat", lambda path: plain().to_parquet(path), "--input-format parquet"),
    "Arrow": ("d.csv", lambda path: plain().to_feather(path, compression="uncompressed"),
              "--input-format arrow"),
    "gzip": ("d.csv", lambda path: plain().to_csv(path, index=False, compression="gzip"), ".gz"),
    "bzip2": ("d.csv", lambda path: plain().to_csv(path, index=False, compression="bz2"), ".bz2"),
    "xz": ("d.data", lambda path: plain().to_csv(path, index=False, compression="xz"), ".xz"),
    "zstd": ("d.csv", lambda path: path.write_bytes(pa.Codec("zstd").compress(PLAIN.encode())),
             ".zst"),
    "a workbook": ("d.xlsx", lambda path: path.write_bytes(b"PK" + b"." * 28 + b"xl/"), "as CSV"),
    "an old workbook": ("d.csv", lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0"), "as CSV"),
    "a page": ("d.csv", lambda path: path.write_text("<html>"), "save its table as CSV"),
    "zip": ("d.csv.zip", lambda path: plain().to_csv(path, index=False), "with unzip"),
    "zip as CSV": ("d.csv", lambda path: plain().to_csv(path, index=False, compression="zip"),
                   "with unzip"),
    "JSON": ("d.json", lambda path: plain().to_json(path, orient="records"), "jq -c '.[]'"),
    "JSON as CSV": ("d.csv", lambda path: plain().to_json(path, orient="records"), "jq -c '.[]'"),
    "JSON lines": ("d.csv", lambda path: plain().to_json(path, orient="records", lines=True),
                   "--input-format jsonl"),
    "CSV": ("d.parquet", lambda path: plain().to_csv(path, index=False), "--input-format csv"),
}  # fmt: skip


def plain() -> pd.DataFrame:
    """The rows of `PLAIN`."""
    return pd.read_csv(io.StringIO(PLAIN))


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_of_another_kind_is_told_with_what_then_works(kind, comments, score, tmp_path):
    name, write, advice = OTHERS[kind]
    write(tmp_path / name)
    given = None
    with pytest.raises((JobFailed, SettingsError)) as failure:
        score(tmp_path / name, "o.csv", model=comments)
    assert advice in str(failure.value)
    mended = tmp_path / name
    if found := re.search(r"--input-format (\w+)", str(failure.value)):
        given = found[1]
    elif advice.startswith("."):
        mended = mended.rename(f"d.csv{advice}")
    elif "unzip" in advice:
        (packed,) = zipfile.ZipFile(mended).namelist()
        mended = mended.with_name("d.csv")
        mended.write_bytes(zipfile.ZipFile(tmp_path / name).read(packed))
    elif "as CSV" in advice:
        plain().to_csv(mended := tmp_path / "saved.csv", index=False)
    else:
        mended = Path("rows.jsonl")
        rows = json.loads((tmp_path / name).read_text())
        mended.write_text("\n".join(map(json.dumps, rows)))  # as jq does
    done = score(inputs.Files(str(mended), given), "o.csv", model=comments)
    assert done.manifest["scored"] == 2


def test_letter_case_and_what_is_there_are_told(score):
    Path("d.csv").write_text("id,A,B,C\n1,0.5,2,x\n")
    pd.read_csv("d.csv").to_parquet("d.parquet")
    with pytest.raises(JobFailed, match=r"It has 'id', 'A', 'B', 'C'\.") as failure:
        score("d.csv", "out.csv")
    (options,) = advised(str(failure.value))
    assert score("d.csv", "o.csv", options=options).manifest["scored"] == 1
    with pytest.raises(JobFailed, match=r"'C'\. Rename 'A' for 'a', 'B' for") as failure:
        score("d.parquet", "out.csv")
    names = dict(re.findall(r"'(\w+)' for '(\w+)'", str(failure.value)))
    pd.read_csv("d.csv").rename(columns=names).to_parquet("d.parquet")
    assert score("d.parquet", "p.csv").manifest["scored"] == 1


def test_a_database_is_read_as_it_is_advised(score, tmp_path):
    with contextlib.closing(sqlite3.connect("shop.db")) as connection:
        pd.DataFrame({"a": [0.5], "b": [1], "c": ["x"]}).to_sql("rows", connection, index=False)
    with pytest.raises(SettingsError) as failure:
        score("shop.db", "out.csv")
    said = re.search(r"score (sqlite:///)PATH with --query '(SELECT) …'", str(failure.value))
    url, select = f"{said[1]}{tmp_path}/shop.db", f"{said[2]} * FROM rows"
    done = score(inputs.Query(url, select, 10), "out.csv")
    assert done.manifest["scored"] == 1


def test_what_is_like_nothing_that_is_needed_is_only_told(score):
    Path("d.csv").write_text("x,y\n1,2\n")
    with pytest.raises(JobFailed, match=r"lacks a, b, c, which plain needs\. It has 'x', 'y'\.$"):
        score("d.csv", "out.csv")
    Path("d.csv").write_text("")
    with pytest.raises(JobFailed, match=r"d\.csv: it has no header: it is empty"):
        score("d.csv", "out.csv")


# Rows as they are → what is changed in them, the options that are given, what is said.
REFUSED: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "encoding": ({}, {}, "2 times the row is not UTF-8 (row 0, 1)"),
    "thousands": (
        {"1234.5": '"1,234.5"', ",1234,": ',"1,234",'}, {},
        "1 times column 'double': expected double (row 0); 1 times column 'long'",
    ),
    "decimal comma": ({",": ";", "1234.5": "1.234,5", ";2;": ";2,0;"}, {"sep": ";"}, "'double'"),
    "dates": ({"2024-02-13": "13/02/2024", "2024-02-14": "14/02/2024"}, {}, "'datetime'"),
    "dates in a form that nobody foresaw": (
        {"2024-02-13": "Feb-13-2024", "2024-02-14": "Feb-14-2024"}, {}, "'datetime'",
    ),
    "clocks": (
        {"2024-02-13": "13.02.2024 00:00", "2024-02-14": "14.02.2024 00:00"}, {}, "'datetime'",
    ),
    "truths": ({"true": "Y", "false": "N"}, {}, "'boolean'"),
    "dates and truths": (
        {"2024-02-13,true": "2024/02/13,예", "2024-02-14,false": "2024/02/14,아니오"}, {},
        "'boolean'",
    ),
}  # fmt: skip


def written_oddly(odd: str, place: Path, plain_rows: int = 0) -> tuple[dict[str, Any], str]:
    """Write the rows, and rows that are taken; the options that are given, and what is said."""
    changes, options, why = REFUSED[odd]
    text = ROWS
    for plain, written_as in changes.items():
        text = text.replace(plain, written_as)
    text += plain_rows * options.get("sep", ",").join(["plain", "1", "7", "2024-01-01", "true\n"])
    place.write_text(text, encoding="cp949" if odd == "encoding" else "utf-8")
    return options, why


@pytest.mark.parametrize("odd", REFUSED)
def test_refused_rows_are_told_with_what_reads_them(odd, score):
    options, why = written_oddly(odd, Path("d.csv"))
    Path("plain.csv").write_text(ROWS)
    wanted = predicted(score, "plain.csv", model="optional")

    with pytest.raises(TooManyBadRows) as failure:
        score("d.csv", "it's out.csv", model="optional", options=options)

    message = str(failure.value)
    assert message.startswith("All 2 rows were refused. ")
    assert why in message
    assert "234" not in message
    (look,) = re.findall(r"`(head .*?)` shows them", message)
    shown = subprocess.check_output(look, shell=True, text=True, cwd="/")  # noqa: S602
    assert len(shown.splitlines()) == 2
    fix, *_ = advised(message)
    score("d.csv", "out.csv", model="optional", options=fix, overwrite=True)
    assert pd.read_csv("out.csv")["prediction"].tolist() == wanted


@pytest.mark.parametrize("odd", REFUSED)
def test_a_job_that_refused_some_rows_says_what_reads_most_of_them(odd, score):
    options, _ = written_oddly(odd, Path("d.csv"), plain_rows=8)
    done = score("d.csv", "out.csv", model="optional", options=options)
    assert done.manifest["refused"] == 2
    assert done.manifest["advice"].startswith("If the whole input is like them: ")
    assert "234" not in done.manifest["advice"]
    fix, *_ = advised(done.manifest["advice"])
    score("d.csv", "o.csv", model="optional", options=fix)
    assert len(pd.read_csv("o.csv")) == 10


def test_a_job_says_nothing_where_reasons_differ_or_no_option_helps(score):
    head = ROWS.partition("\n")[0]
    good, bad = "가,1,1,2024-01-01,true", "가,x,1,2024-01-01,true"
    others = ["가,1,x,2024-01-01,true", "가,1,1,someday,true", "가,1,1,2024-01-01,maybe"]
    for rows in ([good, bad], [good, bad.replace("x", '"1,5"'), *others]):
        Path("d.csv").write_text("\n".join([head, *rows]))
        done = score("d.csv", "o.csv", model="optional", overwrite=True)
        assert done.manifest["refused"]
        assert done.manifest["advice"] == ""


def test_rows_that_are_not_in_the_encoding_of_the_training_are_read_as_utf8(score):
    Path("d.csv").write_text(ROWS)
    with pytest.raises(TooManyBadRows, match="2 times the row is not cp949") as failure:
        score("d.csv", "o.csv", model="optional", options={"encoding": "cp949"})
    (fix,) = advised(str(failure.value))
    done = score("d.csv", "o.csv", model="optional", options=fix, overwrite=True)
    assert done.manifest["scored"] == 2


@pytest.mark.parametrize("some", [0, 4])
def test_json_lines_in_another_encoding_are_told_with_iconv(some, score):
    rows = [{"string": text} for text in (*["plain"] * some, "좋은 하루", "나쁜 하루")]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    Path("an input.jsonl").write_bytes(text.encode("cp949"))
    if some:
        done = score("an input.jsonl", "out.csv", model="optional")
        message = done.manifest["advice"]
    else:
        with pytest.raises(TooManyBadRows, match="2 times the row is not UTF-8") as failure:
            score("an input.jsonl", "out.csv", model="optional")
        message = str(failure.value)
    subprocess.run(message[message.index("iconv") :], shell=True, check=True)  # noqa: S602
    assert score("utf8.jsonl", "again.csv", model="optional").manifest["scored"] == some + 2


@pytest.mark.parametrize(
    ("row", "said", "mended"),
    [
        ("가,₩1234,1,,true", "'double' as plain numbers (double), without signs for money",
         "가,1234,1,,true"),
        ("가,1,3.5,,true", "'long' as plain numbers (long)", "가,1,3,,true"),
        ("가,1,1,someday,true", "Write the column 'datetime' as datetime",
         "가,1,1,2024-01-01,true"),
    ],
)  # fmt: skip
def test_what_no_option_reads_is_told_in_words(row, said, mended, score):
    Path("d.csv").write_text(ROWS.partition("\n")[0] + f"\n{row}\n")
    with pytest.raises(TooManyBadRows) as failure:
        score("d.csv", "out.csv", model="optional")
    assert said in str(failure.value)
    assert "(row 0)" in str(failure.value)
    Path("d.csv").write_text(ROWS.partition("\n")[0] + f"\n{mended}\n")
    option = re.search(r"score again with --(\w+)", str(failure.value))[1]
    done = score("d.csv", "out.csv", model="optional", **{option: True})
    assert done.manifest["scored"] == 1


@pytest.mark.parametrize("way", ["Fill them", "leave these rows out"])
def test_cells_without_a_value_are_filled_or_their_rows_left_out(way, score):
    Path("d.csv").write_text("a,b,c\n0.5,,x\n1.5,,y\n")
    with pytest.raises(TooManyBadRows, match="cells without a value") as failure:
        score("d.csv", "out.csv")
    assert way in str(failure.value)
    rows = "0.5,1,x\n" if way == "Fill them" else ""
    Path("d.csv").write_text(f"a,b,c\n{rows}1.5,2,y\n")
    done = score("d.csv", "out.csv", overwrite=True)
    assert done.manifest["refused"] == 0


DATES = ROWS.replace("2024-02-13", "01/02/2024").replace("2024-02-14", "03/04/2024")


@pytest.mark.parametrize(
    ("text", "both", "read"),
    [
        ('name,double\n가,"1,234"\n',
         "If ',' divides thousands, .* or, if ',' stands before the decimals, ",
         ("float 1234.0", "float 1.234")),
        (DATES, "If the day comes first, .* or, if the month comes first, ",
         ("2024-02-01", "2024-01-02")),
    ],
    ids=["number", "date"],
)  # fmt: skip
def test_what_may_be_two_is_told_with_both(text, both, read, score):
    Path("d.csv").write_text(text)
    with pytest.raises(TooManyBadRows, match=both) as failure:
        score("d.csv", "out.csv", model="optional")
    for fix, value in zip(advised(str(failure.value)), read, strict=True):
        assert value in predicted(score, "d.csv", model="optional", options=fix)[0]


@pytest.mark.parametrize(
    ("rows", "limit", "says"),
    [("13,1,x\n13,2,y\n", None, r"2 times the model failed with ValueError: .* \(row 0, 1\)"),
     ("13,1,x\n12,2,y\n", "0", r"allows 0\. 1 times the model failed .* \(row 0\)")],
)  # fmt: skip
def test_a_model_that_raises_is_told_with_its_rows(rows, limit, says, score):
    Path("d.csv").write_text(f"a,b,c\n{rows}")
    given = {"limit": Limit.parse(limit)} if limit else {}
    with pytest.raises(TooManyBadRows, match=says) as failure:
        score("d.csv", "out.csv", model="picky", **given)
    option = advice.text_of(r"leave them out, and score again with --(\w+)\.$", failure.value)
    for mended in ("12,1,x\n12,2,y\n", "12,2,y\n"):
        Path("d.csv").write_text("a,b,c\n" + mended)
        assert not score("d.csv", "out.csv", model="picky", **{option: True}).manifest["refused"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("좋은 하루", "cp949"), ("서울특별시 · 강남구", "cp949"), ("こんにちは、世界", "shift_jis"),
        ("東京タワー", "shift_jis"), ("Größe und Übermut", "cp1252"), ("déjà vu à Paris", "cp1252"),
        ("price in €", "cp1252"), ("Привет, мир", "cp1251"), ("北京市朝阳区", "gb18030"),
        ("plain", ""),
    ],
)  # fmt: skip
def test_the_encoding_of_texts_is_guessed(text, encoding):
    assert guessed_encoding(f"name\n{text}\n".encode(encoding or "ascii")) == encoding


WIDE = ",".join(f"x{at}" for at in range(1000))
AS_THEY_ARE: dict[str, tuple[bytes, int]] = {
    "no rows": (b"a,b,c\n", 0),
    "no rows and no line end": (b"a,b,c", 0),
    "one row": (b"a,b,c\n1,2,x\n", 1),
    "two rows, no line end": (b"a,b,c\n1,2,x\n1,2,x", 2),
    "a mark of byte order": (b"\xef\xbb\xbfa,b,c\n1,2,x\n", 1),
    "line ends of Windows": (b"a,b,c\r\n1,2,x\r\n", 1),
    "blank lines": (b"\n\na,b,c\n\n1,2,x\n\n\n", 1),
    "gaps": (b"a,b,c\n,2,\n1,2,NA\n", 2),
    "copies": (b"a,b,c\n" + b"1,2,x\n" * 25, 25),
    "quotes": (b'"a","b","c"\n"1","2","x, y"\n', 1),
    "line ends in quotes": (b'"a\n",a,b,c\n1,1,2,"x\n\ny"\n', 1),
    "another order": (b"c,b,a\nx,2,1\n", 1),
    "wide": (f"a,b,c,{WIDE}\n1,2,x,{WIDE}\n".encode(), 1),
    "whole numbers beside a gap": (b"a,b,c\n1,2.0,x\n2,3.0,y\n", 2),
    "a column without a name": (b",a,b,c\n0,1,2,x\n1,1,2,x\n", 2),
}  # fmt: skip


@pytest.mark.parametrize("odd", AS_THEY_ARE)
def test_an_odd_table_is_scored_as_it_is(odd, score):
    content, rows = AS_THEY_ARE[odd]
    Path("d.csv").write_bytes(content)
    done = score("d.csv", "out.csv", keep=True)
    assert (done.manifest["scored"], done.manifest["refused"]) == (rows, 0)
    assert len(pd.read_csv("out.csv")) == rows


@pytest.mark.parametrize(
    "value", [";", "\t", "'", '"', ",", "é", "a: b", "\\", ["a'b", "#c", "null"]]
)
def test_options_are_written_so_that_they_are_read(value):
    (typed,) = [shlex.split(one)[0] for one in written({"names": value}).split("--options ")[1:]]
    assert parsed(typed) == {"names": value}


def predicted(score, source, **options) -> list[str]:
    """The predictions for a file."""
    place = Path(source).with_suffix(".out.csv")
    score(source, place, **{"overwrite": True, **options})
    said: list[str] = pd.read_csv(place)["prediction"].tolist()
    return said
