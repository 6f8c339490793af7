"""Tables that are written in a way of their own: what `train` reads by `data.options` is scored."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloche.serving.batch.input import sources
from cloche.serving.batch.input.columns import columns
from cloche.serving.batch.input.csv_options import CsvOptions, merge, parsed
from cloche.serving.errors import JobFailed, JobRefused, SettingsError
from tests.serving.batch.conftest import HereEngine, expected, table

pytestmark = pytest.mark.xdist_group("batch")
KOREAN = {"sep": ";", "encoding": "cp949", "decimal": ",", "thousands": "."}
ROWS = table(60)
ODD = ROWS.fillna({"a": 0.5}).assign(a=lambda rows: (rows["a"] * 5000).round(3))


def written(rows: pd.DataFrame, options: dict[str, object]) -> bytes:
    """A table as the options say, with numbers in groups where they are."""
    numbers = rows.copy()
    if "thousands" in options:
        marks = str.maketrans(",.", ".,")
        numbers["a"] = numbers["a"].map(lambda one: f"{one:,.3f}".translate(marks))
    names = options.get("header", 0) is not None
    text = numbers.to_csv(
        index=False, sep=options.get("sep", ","), header=names, na_rep="-",
        quotechar=options.get("quotechar", '"'),
    )  # fmt: skip
    preamble = "made today\n" * options.get("skiprows", 0)
    return (preamble + text).encode(options.get("encoding", "utf-8"))


FORMS = {
    "korean": KOREAN,
    "utf-16": {"sep": "\t", "encoding": "utf-16"},
    "quotes": {"quotechar": "'", "sep": "|"},
    "no header": {"header": None, "names": list(ROWS), "skiprows": 2},
    "preamble": {"skiprows": 3},
}


@pytest.mark.parametrize(
    "form", ["korean", *(pytest.param(one, marks=pytest.mark.breadth) for one in list(FORMS)[1:])]
)
@pytest.mark.parametrize("model", ["plain", "seen"])
def test_it_scores_what_the_plain_table_scores(form, model, made_models, score):
    options = FORMS[form] | {"na_values": ["-"]}
    Path("odd.csv").write_bytes(written(ODD, options))
    ODD.to_csv("plain.csv", index=False)
    told = {"model": model, "keep": model == "plain"}
    score("odd.csv", "odd.out.csv", options=options, **told)
    score("plain.csv", "plain.out.csv", **told)
    found, wanted = (pd.read_csv(f"{one}.out.csv") for one in ("odd", "plain"))
    columns = list(wanted) if model == "seen" else ["id", "b", "prediction", "probability"]
    pd.testing.assert_frame_equal(found[columns], wanted[columns])


def test_rows_that_cannot_be_read_go_into_quarantine_as_they_are(score):
    lines = written(ODD[:5], KOREAN).split(b"\n")
    lines[1:1] = [b"00099;abc;1;x", b"00098;1,5;1;\x81\n".strip(), b"00097;1,5;1,5;x"]
    Path("odd.csv").write_bytes(b"\n".join(lines))
    outcome = score("odd.csv", "out.jsonl", options=KOREAN)
    refused = Path("out.jsonl.quarantine.jsonl").read_text().splitlines()
    reasons = {json.loads(line)["row"]: json.loads(line)["reason"] for line in refused}
    assert reasons == {
        0: "column 'a': expected double", 1: "the row is not cp949", 2: "column 'b': expected long",
    }  # fmt: skip
    assert outcome.manifest["scored"] == 5


@pytest.mark.parametrize(
    ("above", "header", "options"),
    [
        ("", "a,b", {}),
        ("", "\ufeffa,b", {}),
        ("", '\ufeff"a","b"', {}),
        ("\n\r\n", "a,b\r", {}),
        ("of today\nby hand\n", "a;b", {"skiprows": 2, "sep": ";"}),
        ("", "'a', 'b'", {"quotechar": "'", "skipinitialspace": True}),
    ],
)
def test_bytes_of_later_rows_keep_nobody_from_reading_the_header(above, header, options):
    Path("rows.csv").write_bytes(f"{above}{header}\n".encode() + b"\x81,1\n" * 3)
    assert header_of("rows.csv", options) == ["a", "b"]
    Path("rows.csv").write_bytes(b'\xef\xbb\xbf"a\n\nb",c\n1,\xb4\n')
    assert header_of("rows.csv", {}) == ["a\n\nb", "c"], "line ends in quotes"


def header_of(place, options):
    (file,) = sources.find(str(place))
    return columns(replace(file, csv_options=CsvOptions(options)))


@pytest.fixture
def trained(made_models, tmp_path) -> str:
    """A version that was trained on a Korean table."""
    place = shutil.copytree(made_models / "plain", tmp_path / "trained")
    description = mlflow.models.Model.load(place)
    csv_options = KOREAN | {"usecols": ["a", "b", "c"], "low_memory": False}
    description.metadata = {"cloche": {"reading": csv_options}}
    description.save(str(place / "MLmodel"))
    return str(place)


def test_a_version_tells_how_its_table_was_read_and_a_plain_one_is_read_plainly(
    trained, made_models, score, tmp_path
):
    Path("odd.csv").write_bytes(written(ODD, KOREAN | {"na_values": ["-"]}))
    ODD.to_csv("plain.csv", index=False)
    given = {"model": "file:" + trained, "options": {"na_values": ["-"]}}
    said: list[str] = []
    score("odd.csv", "a.csv", **given)
    score("plain.csv", "b.csv", model="file:" + trained, said=said)
    one, other = (pd.read_csv(tmp_path / name) for name in ("a.csv", "b.csv"))
    pd.testing.assert_frame_equal(one, other)
    assert any("read as plain CSV" in line for line in said), said
    wanted = expected(made_models, ODD.assign(c=ODD["c"]))
    assert one["prediction"].tolist() == wanted["prediction"].tolist()


def test_a_job_goes_on_with_the_options_that_it_began_with(score):
    Path("odd.csv").write_bytes(written(ODD, KOREAN))
    with pytest.raises(KeyboardInterrupt):
        score("odd.csv", "o.csv", options=KOREAN, engine=HereEngine(1))
    other = KOREAN | {"decimal": "."}
    with pytest.raises(JobRefused, match="begun with other --options"):
        score("odd.csv", "o.csv", options=other, resume=True)
    assert score("odd.csv", "o.csv", options=KOREAN, resume=True).fresh


@pytest.mark.parametrize(
    ("name", "value"), [("sep", r"\s+"), ("comment", "#"), ("header", 3), ("sep", ";;")]
)
def test_what_a_training_read_otherwise_is_told_with_what_then_works(name, value):
    with pytest.raises(SettingsError, match="The version was trained on") as refusal:
        merge({name: value, "decimal": ","}, {})
    assert repr(value) in str(refusal.value)
    typed = shlex.split(str(refusal.value).partition("--options ")[2])[0]
    usual = {"header": 0} if name == "header" else {}
    assert merge({name: value, "decimal": ","}, parsed(typed)).options == usual | {"decimal": ","}


def test_options_are_written_as_in_a_recipe():
    text = '{sep: ";", na_values: [no, -9], keep_default_na: false, header: null, names: [a]}'
    found = merge({"thousands": ".", "comment": None}, parsed(text)).options
    assert found == {
        "thousands": ".", "sep": ";", "na_values": ["no", "-9"], "keep_default_na": False,
        "header": None, "names": ["a"],
    }  # fmt: skip
    assert CsvOptions(found).missing("a") == ["no", "-9"]
    with pytest.raises(SettingsError, match=r"was trained on.*\{comment: null\}"):
        merge({"comment": "#"}, {})


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "tsv"])
def test_a_name_of_two_columns_is_refused_in_every_format(suffix, score):
    doubled = pa.table([[1.0], [2], ["x"], [3.0]], names=["a", "b", "c", "a"])
    place = Path(f"rows.{suffix}")
    if suffix == "parquet":
        pq.write_table(doubled, place)
    elif suffix == "arrow":
        with pa.ipc.new_file(place, doubled.schema) as file:
            file.write_table(doubled)
    else:
        place.write_text("a,b,c,a\n1,2,x,3\n".replace(",", "\t" if suffix == "tsv" else ","))
    with pytest.raises(JobFailed, match=r"'a' is the name of several columns.*; 'a\.1' is what"):
        score(place, "out.csv")


CELLS = {
    "a": ["1.50", "+2.0", "1e2", "", "NA", ".5"],
    "b": ["007", "+7", "-0", "12", "0", "1"],
    "c": ["x ", 'a "b"', "two\nlines", "NA", "", "with, comma"],
    "id": ["00001", "1.0", "", "NaN", "true", " x"],
}


@pytest.mark.parametrize(
    ("bad", "part_rows"), [([], 100), (["soon", "1"], 100), (["1", "1.5"], 100), (["1", "1.5"], 1)]
)
def test_cells_that_are_kept_stay_as_they_are_written(bad, part_rows, score):
    """From CSV to CSV, whether the model has the column or not, beside refused rows, too."""
    table = pd.DataFrame(CELLS, dtype="str")
    odd = pd.DataFrame([[*bad, "y", "9"]] if bad else [], columns=list(CELLS))
    pd.concat([table[:2], odd, table[2:]]).to_csv("rows.csv", index=False)

    told = {"keep": True, "part_rows": part_rows}
    done = score("rows.csv", "out.csv", **told)

    assert (done.manifest["scored"], done.manifest["refused"]) == (6, len(odd))
    found = pd.read_csv("out.csv", dtype="str", keep_default_na=False)
    pd.testing.assert_frame_equal(found[list(CELLS)], table)


def test_numbers_of_a_table_with_its_own_marks_are_kept_in_them(score):
    Path("odd.csv").write_bytes("id;a;b;c\n1;1.234,50;3;가\n".encode("cp949"))
    score("odd.csv", "out.csv", options=KOREAN, keep=True)
    assert Path("out.csv").read_text().splitlines()[1].startswith('1,"1.234,50",3,가,')
