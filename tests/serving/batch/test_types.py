"""A model without a signature sees the table that MLflow would give it, whatever the parts are."""

import bz2
import contextlib
import datetime as dt
import decimal
import functools
import gzip
import io
import json
import random
import sqlite3
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.pyfunc.scoring_server import parse_csv_input, parse_parquet_input
from pyarrow import feather

from cloche.serving.batch.input import csv_types, inputs
from cloche.serving.batch.input.sources import InputFile
from cloche.serving.errors import JobFailed
from tests.serving.batch.conftest import HereEngine

CSV = InputFile("rows.csv", "csv", 0, "", local=True)
pytestmark = pytest.mark.xdist_group("batch")

CELLS = {
    "flags": ["true", "FALSE", "True", "false"],
    "flags with gaps": ["true", "FALSE", ""],
    "whole": ["0", "-1", "007", "+5", " 8"],
    "whole with gaps": ["1", "2", "", "NA"],
    "whole up to 64 bits": ["9223372036854775807", "-9223372036854775808"],
    "beyond 64 bits, unsigned": ["18446744073709551615", "9223372036854775808", "3"],
    "beyond that": ["18446744073709551616", "5", "123456789012345678901234567890"],
    "beyond that with gaps": ["18446744073709551616", "", "NA", "7"],
    "beyond 53 bits with fractions": ["9007199254740993", "0.5", "1e308"],
    "beyond 53 bits with gaps": ["9007199254740993", "", "-9007199254740995"],
    "fractions": ["0.1", "1e-320", "-0.0", "inf", "-Infinity", "1e999", "3"],
    "dates": ["2013-11-01", "2013-11-01T10:00:00Z", "2013-11-01T10:00:00+09:00", ""],
    "words for nothing": ["NA", "None", "null", "nan", "", "N/A", "#N/A", "<NA>", "n/a", "NULL"],
    "words": ["one", "NA", "two", "None", ""],
    "words that are never missing": ["nothing", "na", "none", "NIL"],
    "numbers and words": ["1", "2.5", "three"],
    "truth and words": ["true", "maybe", "False"],
    "truth and numbers": ["true", "1", "0"],
    "spaces": [" true", "false ", " ", "  x"],
    "quotes": ['"1"', '"a, b"', '"two\nlines"', '"say ""hi"""', '""'],
    "zeros": ["00501", "01", "0x1F"],
    "grouped": ['"1,000"', "1_000", "٣"],
}


@functools.cache
def seen(made_models):
    """The model that says what reached it."""
    return mlflow.pyfunc.load_model(str(made_models / "seen"))


def said(made_models, frame):
    """What MLflow's prediction says about a whole table."""
    return seen(made_models).predict(frame)


def read(place):
    return pd.read_parquet(place)["prediction"].tolist()


def table_of(kinds, rows, seed=0):
    """CSV with a column for each kind; its first rows, and so the first parts, hold one cell."""
    choose = random.Random(seed)  # noqa: S311
    columns = [
        [cells[0] if at < rows // 2 else choose.choice(cells) for at in range(rows)]
        for cells in (CELLS[kind] for kind in kinds)
    ]
    lines = [",".join(row) for row in zip(*columns, strict=True)]
    header = ",".join(json.dumps(kind) if "," in kind else kind for kind in kinds)
    return "\n".join([header + ",last", *(f"{line},x" for line in lines)]) + "\n"


@pytest.mark.parametrize(
    ("suffix", "backwards"),
    [
        ("csv", False), ("csv", True), ("csv.gz", False),
        *(pytest.param(f"csv.{packed}", backwards, marks=pytest.mark.breadth)
          for packed in ("zst", "bz2") for backwards in (False, True)),
    ],
)  # fmt: skip
def test_every_kind_of_cell_is_what_pandas_makes_of_the_whole_file(
    suffix, backwards, made_models, score
):
    text = table_of([*CELLS], 60)
    if backwards:  # the odd cells come first, and quoted line ends are left out
        kinds = [kind for kind in CELLS if kind != "quotes"]
        header, *lines = table_of(kinds, 60).splitlines()
        text = "\n".join([header, *reversed(lines)])
    pack = {
        "csv": bytes, "csv.gz": gzip.compress, "csv.bz2": bz2.compress,
        "csv.zst": lambda content: pa.compress(content, "zstd", asbytes=True),
    }[suffix]  # fmt: skip
    place = Path(f"rows.{suffix}")
    place.write_bytes(pack(text.encode()))

    engine = HereEngine()
    score(place, "out.parquet", model="seen", part_rows=5, engine=engine)

    assert len(engine.finished) > 5
    whole = said(made_models, parse_csv_input(io.StringIO(text)))
    assert read("out.parquet") == whole


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.lists(st.sampled_from([*CELLS]), min_size=1, max_size=4, unique=True),
    picks=st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=40),
)
def test_any_mix_of_rows_is_what_pandas_makes_of_the_whole_file(columns, picks, made_models, score):
    cells = [CELLS[kind] for kind in columns]
    lines = [
        ",".join(of[pick % len(of)] for of, pick in zip(cells, row, strict=False)) for row in picks
    ]
    header = ",".join(f"c{at}" for at in range(len(columns)))
    text = "\n".join([header + ",last", *(f"{line},x" for line in lines)]) + "\n"
    Path("rows.csv").write_text(text)
    score("rows.csv", "out.parquet", model="seen", part_rows=1, overwrite=True)
    assert read("out.parquet") == said(made_models, parse_csv_input(io.StringIO(text)))


def test_each_file_of_an_input_is_a_table_of_its_own(made_models, score):
    folder = Path("days")
    folder.mkdir()
    texts = ["a,b\n1,true\n2,FALSE\n", "a,b\n1,\n,true\n", "a,b\nx,maybe\n"]
    for at, text in enumerate(texts):
        (folder / f"{at}.csv").write_text(text)
    score(folder, "out.parquet", model="seen", part_rows=1)
    whole = [one for text in texts for one in said(made_models, parse_csv_input(io.StringIO(text)))]
    assert read("out.parquet") == whole


def _blocks(*cells):
    """CSV in which each cell fills a block of pandas' parser."""
    rows = 2**18  # of two columns
    return "a,b\n" + "".join(f"{cell},x\n" * rows for cell in cells)


@pytest.mark.breadth
@pytest.mark.parametrize(
    "cells",
    [("1", "2.5"), ("1", ""), ("", "x"), ("x", ""), ("true", ""), ("", "FALSE"), ("true", "false")],
)
def test_blocks_of_a_large_file_come_together_as_in_pandas(cells, made_models):
    text = _blocks(*cells, cells[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        whole = parse_csv_input(io.StringIO(text))
    found = csv_types.infer(io.BytesIO(text.encode()), CSV, 2)
    assert found["a"] == str(whole["a"].dtype)


@pytest.mark.parametrize(
    "cells",
    [
        ("1", "x"),
        *(
            pytest.param(cells, marks=pytest.mark.breadth)
            for cells in (("x", "1"), ("true", "x"), ("true", "1"), ("-1", "18446744073709551615"))
        ),
    ],
)
def test_a_mix_that_hangs_on_pandas_blocks_is_refused_with_the_fix(cells, score):
    Path("rows.csv").write_text(_blocks(*cells))
    with pytest.raises(JobFailed, match=r"rows\.csv: the column 'a' holds .* signature"):
        score("rows.csv", "out.parquet", model="seen")
    assert not Path("out.parquet").exists()


RECORDS = {
    "flags": [True, False, None],
    "whole": [1, -2],
    "whole with null": [1, None, 9007199254740993],
    "unsigned": [1, 2**64 - 1], "both ends": [-1, 2**64 - 1], "huge": [1, 2**70],
    "fractions": [1, 0.5, None],
    "not numbers": [1.5, float("nan"), float("inf")],
    "texts": ["a", None, ""], "texts and numbers": [1, "a", None, 2.5],
    "truth and numbers": [True, 1, 0.5], "nothing": [None], "lists": [[1, 2], [], None],
    "objects": [{"a": 1}, None], "numbers as text": ["007", "1e3"],
}  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from([*RECORDS]), min_size=1, max_size=4, unique=True),
    picks=st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=30),
)
def test_json_lines_are_what_pandas_makes_of_all_records(kinds, picks, made_models, score):
    rows = [
        {
            kind: RECORDS[kind][pick % len(RECORDS[kind])]
            for kind, pick in zip(kinds, row, strict=False)
            if pick != 9  # a key that is not there
        }
        | {"last": 0}
        for row in picks
    ]
    Path("rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    score("rows.jsonl", "out.parquet", model="seen", part_rows=1, overwrite=True)
    assert read("out.parquet") == said(made_models, pd.DataFrame(rows))


def columns_of_all_types(rows=40):
    late = [None] * 1 + [0] * (rows - 1)
    gap = [one is None for one in reversed(late)]  # only the last row
    frame = {}
    for kind in ("int8", "int32", "int64", "uint64", "float32", "float64", "bool"):
        values = pd.Series(np.arange(rows) % 2, dtype=kind)
        frame[kind] = pa.array(values)
        frame[f"{kind} with a gap"] = pa.array(values, mask=np.array(gap))
    for kind in ("Int64", "boolean", "string", "Float32"):
        values = pd.Series(np.arange(rows) % 2).astype("str" if kind == "string" else kind)
        frame[f"pandas {kind}"] = pa.array(values.astype(kind))
        frame[f"pandas {kind} with a gap"] = pa.array(values.astype(kind).mask(pd.Series(gap)))
    frame["text with a gap"] = pa.array(["x"] * (rows - 1) + [None])
    frame["moments"] = pa.array(pd.date_range("2013-11-01", periods=rows))
    seoul = pa.timestamp("us", "Asia/Seoul")
    frame["moments elsewhere"] = pa.array([0] * rows, seoul)
    frame["days"] = pa.array(pd.date_range("2013-11-01", periods=rows).date)
    frame["lists"] = pa.array([[1, 2]] * (rows - 1) + [None])
    frame["nothing"] = pa.nulls(rows)
    return pa.table(frame)


def columns_of_odd_types(rows=40):
    """Types that only Arrow has; each with a gap in the last row, and without one."""
    half = np.arange(rows, dtype=np.float16) / 4
    moment = dt.datetime(2013, 11, 1, 10, 30, tzinfo=dt.UTC)
    cells = {
        "decimal": (pa.decimal128(12, 2), decimal.Decimal("1.50")),
        "wide decimal": (pa.decimal256(50, 3), decimal.Decimal("-2.125")),
        "time32": (pa.time32("s"), dt.time(10, 30)),
        "time64": (pa.time64("ns"), dt.time(10, 30, 0, 5)),
        "duration": (pa.duration("ms"), dt.timedelta(seconds=5)),
        "date64": (pa.date64(), dt.date(2013, 11, 1)),
        "seconds": (pa.timestamp("s"), moment.replace(tzinfo=None)),
        "milliseconds in UTC": (pa.timestamp("ms", "UTC"), moment),
        "large text": (pa.large_string(), "x"), "binary": (pa.binary(), b"\x00\xff"),
        "fixed binary": (pa.binary(2), b"ab"), "large binary": (pa.large_binary(), b"ab"),
        # pyarrow makes fractions of whole numbers in rows that are converted beside a missing one
        "struct": (pa.struct({"p": pa.float64(), "q": pa.string()}), {"p": 0.5, "q": None}),
        "list of struct": (pa.list_(pa.struct({"p": pa.float32()})), [{"p": 0.5}]),
        "large list": (pa.large_list(pa.int16()), [1, 2]),
        "fixed list": (pa.list_(pa.int64(), 2), [1, 2]),
        "map": (pa.map_(pa.string(), pa.int64()), [("k", 1)]),
        "uint8": (pa.uint8(), 7),
    }  # fmt: skip
    frame = {"half": pa.array(half, pa.float16())}
    for name, (kind, cell) in cells.items():
        frame[name] = pa.array([cell] * rows, kind)
        if not pa.types.is_fixed_size_list(kind):  # pyarrow cannot read its own Parquet of them
            frame[f"{name} with a gap"] = pa.array([cell] * (rows - 1) + [None], kind)
    return pa.table(frame)


def columns_of_categories(rows=40):
    """Dictionaries of every kind; most categories are in later parts, and one in no row."""
    late = [at // 7 for at in range(rows)]

    def texts(categories, codes, **options):
        return pa.array(pd.Categorical.from_codes(codes, categories, **options))

    return pa.table(
        {
            "texts": texts([*"zyxwvuq"], late),
            "with a gap": texts([*"zyxwvuq"], [*late[:-1], -1]),
            "ordered": texts([*"abcdefg"], late, ordered=True),
            "numbers": texts([50, 40, 30, 20, 10, 5, 0], late),
            "moments": texts(pd.date_range("2013-11-01", periods=7), late),
            "encoded here": pa.array([str(one) for one in late]).dictionary_encode(),
            "all missing": pa.array([None] * rows, pa.dictionary(pa.int8(), pa.string())),
            "last": pa.array(range(rows)),
        }
    )


def categories_written_by_pandas():
    frame = pd.DataFrame({"c": pd.Categorical([*"xyz"] * 10, [*"zyxq"], ordered=True)})
    frame["d"] = pd.Categorical(["late" if at > 20 else "early" for at in range(30)])
    return pa.Table.from_pandas(frame)


def written_by_pandas():
    frame = pd.DataFrame(
        {"a": pd.array([1, 2, 3, None] * 10, "Int64"), "b": pd.array([True, None] * 20, "boolean")}
    )
    return pa.Table.from_pandas(frame.set_index(pd.Index(range(100, 140), name="row")))


TABLES = [
    columns_of_all_types, columns_of_odd_types, columns_of_categories, written_by_pandas,
    categories_written_by_pandas,
]  # fmt: skip


@pytest.mark.parametrize(
    "statistics",
    [False, pytest.param(True, marks=pytest.mark.breadth)],  # it reads all of a column
)
@pytest.mark.parametrize("make", TABLES)
def test_parquet_is_what_mlflow_makes_of_the_whole_file(make, statistics, made_models, score):
    pq.write_table(make(), "rows.parquet", row_group_size=7, write_statistics=statistics)
    score("rows.parquet", "out.parquet", model="seen", part_rows=3)
    whole = parse_parquet_input("rows.parquet").reset_index(drop=True)
    assert read("out.parquet") == said(made_models, whole)


@pytest.mark.parametrize("make", TABLES)
def test_arrow_is_what_pandas_makes_of_the_whole_file_or_stream(make, made_models, score):
    whole = said(made_models, make().to_pandas().reset_index(drop=True))
    feather.write_feather(make(), "rows.arrow", chunksize=7)
    score("rows.arrow", "out.parquet", model="seen", part_rows=3)
    assert read("out.parquet") == whole
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, make().schema) as writer:
        writer.write_table(make(), 7)
    stream = inputs.Stream(io.BytesIO(sink.getvalue()), "arrow")
    score(stream, "stream.parquet", model="seen", part_rows=3)
    assert read("stream.parquet") == whole


@pytest.mark.parametrize("text_format", ["csv", "jsonl"])
def test_a_stream_is_judged_by_all_of_its_rows(text_format, made_models, score):
    rows, words = 600, "some words " * 200  # more than its head has
    if text_format == "csv":
        text = "a,b,last\n" + f"1,true,{words}\n" * rows + ",,some\n"
        whole = parse_csv_input(io.StringIO(text))
    else:
        records = [{"a": 1, "b": True, "last": words}] * rows + [{"a": None, "c": 1}]
        text = "".join(f"{json.dumps(one)}\n" for one in records)
        whole = pd.DataFrame(records)
    stream = inputs.Stream(io.BytesIO(text.encode()), text_format)
    score(stream, "out.parquet", model="seen", part_rows=500)
    assert read("out.parquet") == said(made_models, whole)


@pytest.mark.filterwarnings("ignore")
def test_a_query_whose_columns_change_their_types_is_refused_with_the_fix(
    made_models, score, tmp_path
):
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    with contextlib.closing(sqlite3.connect("shop.db")) as connection:
        connection.execute("CREATE TABLE rows (a INTEGER, b TEXT)")
        rows = [(1, "v"), (2, None), (3, "x"), (4, "y"), (None, None), (None, None)]
        connection.executemany("INSERT INTO rows VALUES (?, ?)", rows)
        connection.commit()
    with pytest.raises(JobFailed, match=r"'a' is int64 .* CAST it.*, or log the model with a s"):
        score(inputs.Query(url, "SELECT * FROM rows", 2), "out.csv", model="seen")

    for wanted in ("SELECT * FROM rows WHERE a > 0", "SELECT CAST(a AS REAL) AS a, b FROM rows"):
        score(inputs.Query(url, wanted, 2), "out.parquet", model="seen", overwrite=True)
        with contextlib.closing(sqlite3.connect("shop.db")) as connection:
            whole = pd.read_sql_query(wanted, connection)
        assert read("out.parquet") == said(made_models, whole)
    signed = inputs.Query(url, 'SELECT a AS "double", b AS string FROM rows', 2)
    assert score(signed, "out.csv", model="optional", overwrite=True).manifest["scored"] == 6


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_the_columns_of_a_table_make_the_one_tensor_that_has_a_name(name, score, tmp_path):
    rows = pd.DataFrame({"id": ["x", "y", "z"], "a": [1, 2, 3], "b": [0.5, 1.5, 2.5]})
    place = tmp_path / name
    {
        "rows.csv": lambda: rows.to_csv(place, index=False),
        "rows.jsonl": lambda: rows.to_json(place, orient="records", lines=True),
        "rows.parquet": lambda: rows.to_parquet(place),
    }[name]()
    score(place, "scores.csv", model="graph", id_columns=("id",))
    scores = pd.read_csv("scores.csv")
    assert scores.to_dict("list") == {"id": ["x", "y", "z"], "score": [6.0, 17.0, 28.0]}
