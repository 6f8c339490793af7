"""A job that is refused says what to ask for: asked for that, it is done."""

import contextlib
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from cloche.processes import machine_limits
from cloche.serving.batch import resume_checks
from cloche.serving.batch.input import inputs
from cloche.serving.batch.input.csv_options import merge, parsed
from cloche.serving.batch.job.refusal_limit import Limit
from cloche.serving.batch.output import merge_parts
from cloche.serving.batch.output.answer_encoding import table as answers
from cloche.serving.batch.output.layout import describe
from cloche.serving.batch.scoring import crash_recovery
from cloche.serving.batch.scoring.crash_recovery import PartRetry, WorkerDeath
from cloche.serving.batch.scoring.local_engine import LocalEngine
from cloche.serving.batch.scoring.predict import PartScorer
from cloche.serving.batch.scoring.worker_start import _unstarted
from cloche.serving.batch.storage import atomic_write
from cloche.serving.errors import JobFailed, ServingError, SettingsError
from tests import advice
from tests.serving.batch.conftest import HereEngine, part, table

pytestmark = pytest.mark.xdist_group("batch")

LOAD = PartScorer.load  # which the other tests have load each model once
Options = dict[str, Any]
GOOD = "id,a,b,c\n1,0.5,1,x\n2,0.5,1,y\n"


@pytest.fixture(autouse=True)
def _rows() -> None:
    table(57).to_csv("rows.csv", index=False)


def option(pattern: str, said: str) -> Options:
    """The option, without a value, that a message names at the place of a pattern's group."""
    found = advice.text_of(pattern, said)
    return {found.removeprefix("--").replace("-", "_"): True}


def somebodys_file(score) -> None:
    Path("out.csv").write_text("precious")


def half_a_job(score) -> None:
    with pytest.raises(KeyboardInterrupt):
        score("rows.csv", "out.csv", engine=HereEngine(1), part_rows=2)


def half_a_job_of_other_rows(score) -> None:
    half_a_job(score)
    table(58).to_csv("rows.csv", index=False)


def a_job_of_other_rows(score) -> None:
    score("rows.csv", "out.csv")
    table(58).to_csv("rows.csv", index=False)


# What is there already, the options, and what may be done then.
BEGUN: dict[str, tuple[Callable[..., None], Options, list[str]]] = {
    "a file of somebody else": (somebodys_file, {}, [r"replace it with (--overwrite)\."]),
    "an unfinished job": (
        half_a_job, {}, [r"Go on with (--resume),", r"begin anew with (--overwrite)\."],
    ),
    "an unfinished job of other rows": (
        half_a_job_of_other_rows, {"resume": True}, [r"Begin anew with (--overwrite)\."],
    ),
    "a finished job of other rows": (a_job_of_other_rows, {}, [r"replace it with (--overwrite)\."]),
}  # fmt: skip


@pytest.mark.parametrize("there", BEGUN)
def test_what_is_advised_about_what_is_there_lets_a_job_be_done(there, score):
    begin, options, patterns = BEGUN[there]
    begin(score)
    before = {path: path.read_bytes() for path in Path().glob("out.csv*")}
    with pytest.raises(ServingError) as refusal:
        score("rows.csv", "out.csv", **options)
    said = str(refusal.value)
    assert {path: path.read_bytes() for path in Path().glob("out.csv*")} == before
    assert ("rows.csv has changed since" in said) == ("of other rows" in there), said
    if "Write elsewhere" in said:
        assert score("rows.csv", "elsewhere.csv", **options).fresh
    for pattern in patterns:
        assert score("rows.csv", "out.csv", **option(pattern, said)).fresh
        if len(patterns) > 1 and pattern is patterns[0]:
            for path in Path().glob("*out.csv*"):
                path.unlink()
            begin(score)


# The input's name and content, the options, and what is asked for after what is said.
INPUTS: dict[str, tuple[str, str, Options, str, Callable[[str], tuple[Any, Options]]]] = {
    "no such column to keep": (
        "rows.csv", GOOD, {"id_columns": ("no",)}, r"it has (\w+),",
        lambda name: ("rows.csv", {"id_columns": (name,)}),
    ),
    "a name of no known format": (
        "rows.data", GOOD, {}, r"for others give --input-format (\w+)",
        lambda form: (inputs.Files("rows.data", form), {}),
    ),
    "a name of no known format, and another": (
        "rows.data", GOOD, {}, r"Known are names that end in (\.\w+)",
        lambda end: (Path("rows.data").rename(f"other{end}"), {}),
    ),
    "a file that is not there yet": (
        "other.csv", GOOD, {}, r"Score it again (when it has come)\.",
        lambda _: ((Path("come.csv").write_text(GOOD), "come.csv")[1], {}),
    ),
    "no database for a query": (
        "rows.csv", GOOD, {}, r"(sqlite:///)shop\.db or",
        lambda url: (inputs.Query(f"{url}shop.db", "SELECT * FROM rows LIMIT 2", 10), {}),
    ),
    "a header that is never closed": (
        "rows.csv", f'"{GOOD}' + "1,2\n" * 300_000, {}, r"(Is a quote never closed)\?$",
        lambda _: ((Path("rows.csv").write_text(GOOD), "rows.csv")[1], {}),
    ),
    "two columns of a name": (
        "rows.csv", GOOD.replace("id,", "a,"), {}, r"(Give each column a name of its own);",
        lambda _: ((Path("rows.csv").write_text(GOOD), "rows.csv")[1], {}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("odd", INPUTS)
def test_what_is_advised_about_an_input_has_it_scored(odd, score):
    name, content, options, pattern, mend = INPUTS[odd]
    Path(name).write_text(content)
    source = "come.csv" if "not there" in odd else name
    with contextlib.closing(sqlite3.connect("shop.db")) as connection:
        table(57).to_sql("rows", connection, index=False)
    with pytest.raises(ServingError) as refusal:
        score(inputs.Query(name, "x", 1) if "query" in odd else source, "out.csv", **options)
    found = advice.text_of(pattern, refusal.value)
    again, given = mend(found)
    assert score(again, "out.csv", **given).manifest["scored"] == 2


def test_line_feeds_are_given_as_it_is_advised(score):
    Path("rows.csv").write_bytes(GOOD.replace("\n", "\r").encode())
    with pytest.raises(ServingError) as refusal:
        score("rows.csv", "out.csv")
    typed = str(refusal.value).partition("Give it line feeds: ")[2]
    typed = typed.replace("OLD", "rows.csv").replace("NEW", "mended.csv")
    subprocess.run(typed, shell=True, check=True)  # noqa: S602
    assert score("mended.csv", "out.csv").manifest["scored"] == 2


@pytest.mark.parametrize("way", ["--id-column", "leave them out"])
def test_columns_that_are_no_values_of_a_tensor_are_named_or_left_out(way, score):
    rows = pd.DataFrame({"id": ["x", "y"], "a": [1, 2], "b": [0.5, 1.5]})
    rows.to_csv("rows.csv", index=False)
    said = r"'X' takes 2 values a row, and there are 3: id, a, b\."
    with pytest.raises(ServingError, match=said) as refusal:
        score("rows.csv", "out.csv", model="graph")
    assert way in str(refusal.value)
    if way == "leave them out":
        rows.drop(columns="id").to_csv("rows.csv", index=False)
    given = {"id_columns": ("id",)} if way == "--id-column" else {}
    assert score("rows.csv", "out.csv", model="graph", **given).manifest["scored"] == 2


def test_options_of_csv_are_left_out_where_there_is_none(score):
    pd.read_csv("rows.csv").to_parquet("rows.parquet")
    with pytest.raises(SettingsError, match=r"--options are for CSV, .*Leave them out\."):
        score("rows.parquet", "out.csv", options={"sep": ";"})
    assert score("rows.parquet", "out.csv").manifest["scored"] == 57


@pytest.mark.parametrize("text", ["many", "-1", "500%"])
def test_a_limit_is_given_in_one_of_the_forms_that_are_named(text):
    with pytest.raises(SettingsError) as refusal:
        Limit.parse(text)
    forms = re.search(r"a count like (\S+) or a share like (\S+)\.$", str(refusal.value)).groups()
    assert [Limit.parse(form).given for form in forms] == [True, True]


# What makes no sense after --options → what is said of it, and what is given then.
READINGS: dict[str, tuple[str, Callable[[str], str]]] = {
    "{sep: [": (r"--options ('.*')$", lambda text: shlex.split(text)[0]),
    "sep": (r"--options ('.*')$", lambda text: shlex.split(text)[0]),
    "{header: null}": (r"--options ('.*')$", lambda text: shlex.split(text)[0]),
    "{encoding: klingon}": (r"(\w+) \(Korean\)", lambda name: f"{{encoding: {name}}}"),
    "{encoding_errors: no}": (r"expected (\w+),", lambda name: f"{{encoding_errors: {name}}}"),
    "{keep_default_na: maybe}": (r"expected (\w+) or", lambda one: f"{{keep_default_na: {one}}}"),
    "{float_precision: low}": (r"or (\w+)$", lambda one: f"{{float_precision: {one}}}"),
    "{header: 3}": (r"lines before it are (\w+)$", lambda name: f"{{{name}: 3}}"),
    "{sep: ';;'}": (r"expected (one ASCII character);", lambda _: "{sep: ;}"),
    "{skiprows: -1}": (r"expected (a number of lines);", lambda _: "{skiprows: 1}"),
    "{na_values: {a: {b: c}}}": (r"expected (a list) of words", lambda _: "{na_values: {a: [c]}}"),
    "{nrows: 5, sep: ;}": (r"(Leave it out); known are", lambda _: "{sep: ;}"),
    "{comment: '#', sep: ;}": (r"it knows (\w+),", lambda name: f"{{{name}: ;}}"),
}  # fmt: skip


@pytest.mark.parametrize("text", READINGS)
def test_what_is_advised_in_the_place_of_options_is_read(text):
    pattern, mend = READINGS[text]
    with pytest.raises(SettingsError) as refusal:
        merge({}, parsed(text))
    found = advice.text_of(pattern, refusal.value)
    given = parsed(mend(found))
    assert merge({}, given).options.keys() == given.keys()


@pytest.mark.parametrize("form", [None, "parquet"])
def test_a_stream_is_given_what_it_lacks(form, score, tmp_path):
    with Path("rows.csv").open("rb") as stream:
        with pytest.raises(SettingsError) as refusal:
            inputs.Stream(stream, form)
        if form is None:
            assert str(refusal.value).endswith("give --input-format.")
            given: inputs.Inputs = inputs.Stream(stream, "csv")
        else:
            assert str(refusal.value).endswith("give a file.")
            pd.read_csv("rows.csv").to_parquet("rows.parquet")
            given = inputs.Files("rows.parquet", form)
        assert score(given, "out.csv").manifest["scored"] == 57


def test_a_place_in_a_bucket_is_named():
    with pytest.raises(SettingsError) as refusal:
        describe("s3://bucket?region=eu-west-1", None)
    advised = advice.text_of(r"in the bucket, like (\S+)\.$", refusal.value)
    assert describe(f"{advised}?region=eu-west-1", None).directory


def test_the_package_that_a_store_needs_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(SettingsError) as refusal:
        describe("ftp://host/out/", None)
    assert str(refusal.value).endswith("this store needs fsspec: pip install fsspec")


@pytest.mark.parametrize("way", ["Leave out the rows that it refuses", "give it files"])
def test_a_model_that_looks_across_rows_is_given_fewer_or_none_that_it_refuses(way, score):
    rows = table(150)
    model = "crowded" if way == "give it files" else "because"
    refused = rows.assign(a=rows["a"].where(rows.index > 0, 13.0)) if model == "because" else rows
    refused.to_parquet("rows.parquet")
    with pytest.raises(JobFailed) as refusal:
        score("rows.parquet", "out.csv", model=model, part_rows=2000)
    assert way in str(refusal.value)
    source = "rows.parquet"
    refused[refused["a"] != 13.0].to_parquet("rows.parquet")
    if model == "crowded":
        source = "half-*.parquet"
        refused[:75].to_parquet("half-1.parquet")
        refused[75:].to_parquet("half-2.parquet")
    done = score(source, "out.csv", model=model, part_rows=2000, overwrite=True)
    assert done.manifest["refused"] == 0


def test_rows_that_all_belong_into_quarantine_go_there_when_it_is_said(score, monkeypatch):
    monkeypatch.setattr("cloche.serving.batch.scoring.row_scorer._PROBED", 5)
    with pytest.raises(JobFailed) as refusal:
        score("rows.csv", "out.csv", model="talkative", part_rows=100)
    limit = advice.text_of(r"say so with --max-bad-rows (\S+)\.$", refusal.value)
    given = {"limit": Limit.parse(limit), "overwrite": True}
    done = score("rows.csv", "out.csv", model="talkative", part_rows=100, **given)
    assert done.manifest["refused"] == 57


def test_columns_that_would_be_doubled_are_left_out(score):
    pd.read_csv("rows.csv").assign(prediction=1).to_csv("rows.csv", index=False)
    with pytest.raises(JobFailed) as refusal:
        score("rows.csv", "out.csv", keep=True)
    assert re.search(r"Say what to keep with --id-column, and leave it out\.$", str(refusal.value))
    kept = {"id_columns": ("id", "a", "b", "c"), "overwrite": True}
    assert score("rows.csv", "out.csv", **kept).manifest["scored"] == 57


def test_a_twin_that_a_job_cannot_go_on_with_is_left_out(score, monkeypatch):
    """The twin is one that the worker finds gone, and the job begins anew without it."""
    monkeypatch.setattr("cloche.serving.batch.resume_checks.choose_twin", lambda *_: "digest")
    monkeypatch.setattr(PartScorer, "load", staticmethod(LOAD))
    with pytest.raises(JobFailed) as refusal:
        score("rows.csv", "out.csv")
    one, other = advice.words_of(r"Begin anew with (--\S+ --no-\S+)\.$", refusal.value)
    given = {one.removeprefix("--"): True, other.removeprefix("--no-"): False}
    assert score("rows.csv", "out.csv", **given).manifest["scored"] == 57


def test_every_field_is_given_a_name(score):
    Path("rows.csv").write_text("a,b\n1,2,3\n4,5,6\n")
    with pytest.raises(JobFailed, match="give every field a name"):
        score("rows.csv", "out.csv", model="seen")
    Path("rows.csv").write_text("a,b,c\n1,2,3\n4,5,6\n")
    assert score("rows.csv", "out.csv", model="seen").manifest["scored"] == 2


def test_the_encoding_of_a_table_is_said_as_it_is_asked_for(score):
    Path("rows.csv").write_text(GOOD.replace("x", "가나"))
    with pytest.raises(JobFailed) as refusal:
        score("rows.csv", "out.csv", options={"encoding": "utf-32"})
    typed = advice.text_of(r"--options ('\{encoding: \S+\}')", refusal.value)
    given = parsed(shlex.split(typed)[0].replace("NAME", "utf-8"))
    assert score("rows.csv", "out.csv", options=given).manifest["scored"] == 2


class Failing(HereEngine):
    """Finishes parts, and does something after each, which may fail."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self._then = then

    def run(self, job, parts, directory):
        for finished in super().run(job, parts, directory):
            yield finished
            self._then()


def fails(error: Exception) -> Callable[..., object]:
    def fail(*_: object) -> None:
        raise error

    return fail


def killed(*_: object) -> None:
    """What is said of a part that kills each worker, though none of its rows does."""
    case = PartRetry(part(stop=4))
    while True:
        if "try" in case.request():
            case.survived()
        else:
            case.died(WorkerDeath("killed by signal 9"))


# What happens after a part, what is said at the end, and with what the job is done then.
STOPPED: dict[str, tuple[Callable[..., object], str, Options]] = {
    "no worker": (fails(_unstarted(OSError("no memory"))), r"go on with (--resume)\.$", {}),
    "deaths": (killed, r"fewer --workers; .* go on with (--resume)\.$", {}),
    "deaths, and mended": (killed, r"begin anew with (--overwrite)\.", {"model": "odd"}),
    "a full disk": (lambda _, here: here.setattr(atomic_write, "move", fails(OSError(1, "full"))),
                    r"parts: cannot be written: full\. .* go on with (--resume)\.$", {}),
    "a full disk at the end": (
        lambda _, here: here.setattr(merge_parts.Appender, "part", fails(OSError(1, "full"))),
        r"out\.csv: cannot be written: full\. .* go on with (--resume)\.$", {},
    ),
    "a changing input": (lambda *_: os.utime("rows.csv", ns=(1, 1)),
                         r"again with (--overwrite) when it is complete", {}),
    "another job": (lambda score, _: score("rows.csv", "out.csv"), r"or write (elsewhere)\.$",
                    {"place": "other.csv"}),
    "another job that ends": (lambda score, _: score("rows.csv", "out.csv"), "(Wait) for it", {}),
}  # fmt: skip


@pytest.mark.parametrize("stopped", STOPPED)
def test_a_job_that_stopped_is_done_as_it_is_advised(stopped, score):
    then, pattern, given = STOPPED[stopped]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ServingError) as failure:
        score("rows.csv", "out.csv", engine=Failing(lambda: then(score, patch)))
    advised = option(pattern, str(failure.value))
    given = {**(advised if "--" in pattern else {"resume": True}), **given}
    assert score("rows.csv", given.pop("place", "out.csv"), **given).manifest["scored"] == 57


def test_a_job_whose_workers_were_killed_goes_on_with_more_memory(score, tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    limit.write_text(str(256 << 20))
    monkeypatch.setattr(machine_limits, "_LIMIT", limit)
    monkeypatch.setattr(crash_recovery, "_MAX_EXCLUDED", 1)
    with LocalEngine(1) as engine:
        with pytest.raises(JobFailed) as failure:
            score("rows.csv", "out.csv", model="large", engine=engine)
        found = int(advice.text_of(r"raise the memory limit of (\d+) MiB", failure.value))
        limit.write_text(str(2 * found << 20))
        given = option(r"go on with (--resume)\.$", str(failure.value))
        done = score("rows.csv", "out.csv", model="large", engine=engine, **given)
    assert done.manifest["scored"] == 57


def test_a_job_whose_workers_were_killed_goes_on_with_fewer(score, monkeypatch):
    monkeypatch.setattr(crash_recovery, "_MAX_EXCLUDED", 1)
    Path("memory").mkdir()
    with LocalEngine(2) as engine, pytest.raises(JobFailed, match="fewer --workers") as failure:
        score("rows.csv", "out.csv", model="roomy", engine=engine)
    shutil.rmtree("memory")
    Path("memory").mkdir()
    Path("memory/first").touch()
    given = option(r"go on with (--resume)\.$", str(failure.value))
    with LocalEngine(1) as engine:
        done = score("rows.csv", "out.csv", model="roomy", engine=engine, **given)
    assert done.manifest["scored"] == 57


LACKING: list[str] = []  # what the environment lacks of what the version was logged with
# What a job reads, by which model, what happens while it is stopped.
STALE: dict[str, tuple[Any, str, Callable[[], object]]] = {
    "a query": (inputs.Query("sqlite:///shop.db", "SELECT * FROM rows", 10), "plain", dict),
    "a model": ("rows.csv", "mine", lambda: Path("mine/more").touch()),
    "an environment": ("rows.csv", "plain", lambda: LACKING.append("numpy")),
}


@pytest.mark.parametrize("stale", STALE)
def test_a_job_that_cannot_go_on_begins_anew(stale, score, made_models, monkeypatch):
    source, model, happen = STALE[stale]
    if model == "mine":
        model = str(shutil.copytree(made_models / "plain", Path(model).absolute()))
    with contextlib.closing(sqlite3.connect("shop.db")) as connection:
        table(57).to_sql("rows", connection, index=False)
    monkeypatch.setattr(resume_checks, "mismatches", lambda _: LACKING.copy())
    with pytest.raises(KeyboardInterrupt):
        score(source, "out.csv", model=model, engine=HereEngine(1))
    happen()
    with pytest.raises(ServingError) as refusal:
        score(source, "out.csv", model=model, resume=True)
    advised = option(r"Begin anew with (--overwrite)\.$", str(refusal.value))
    assert score(source, "out.csv", model=model, **advised).manifest["scored"] == 57


def test_a_model_lets_a_table_hold_what_it_answers():
    with pytest.raises(JobFailed, match="Let it answer numbers, text, dates, or lists and dict"):
        answers([object()] * 2, 2, [])
    for cell in (1, 1.5, "a", date(2013, 1, 1), [1.5], {"k": "v"}):
        assert answers([cell] * 2, 2, []).num_rows == 2


def test_an_environment_that_differs_is_left_for_one_of_its_own_or_completed(score, monkeypatch):
    def said(**options: Any) -> str:
        told: list[str] = []
        score("rows.csv", "out.csv", overwrite=True, said=told, **options)
        return " ".join(told)

    with monkeypatch.context() as lacking:
        lacking.setattr(resume_checks, "mismatches", lambda _: ["numpy==0.1"])
        pattern = r"in one of its own with (--env-manager \w+), or install what it asks for\."
        option, manager = advice.words_of(pattern, said())
        given = {option.removeprefix("--").replace("-", "_"): manager}
        assert "this environment" not in said(**given)
    assert "this environment" not in said()


def test_a_column_without_a_type_is_written_in_one_or_signed(
    score, made_models, tmp_path, monkeypatch
):
    monkeypatch.setattr("cloche.serving.batch.input.csv_types._BLOCK_CELLS", 16)

    def write(first: str) -> None:
        Path("words.csv").write_text("\n".join(["a", *[first] * 40, *["word"] * 40, ""]))

    write("1")
    with pytest.raises(JobFailed, match=r"'a' holds .* has no signature") as refusal:
        score("words.csv", "out.csv", model="types")
    said = str(refusal.value)
    assert said.endswith("Log the model with a signature, or write the column in one plain type.")
    place = shutil.copytree(made_models / "types", tmp_path / "signed")
    signed = mlflow.models.Model.load(place)
    signed.signature = ModelSignature(Schema([ColSpec("string", "a")]))
    signed.save(str(place / "MLmodel"))
    assert score("words.csv", "signed.csv", model=f"file:{place}").manifest["scored"] == 80
    write("one")
    assert score("words.csv", "out.csv", model="types").manifest["scored"] == 80


def test_a_model_that_answers_one_type_is_scored_as_it_is_advised(score):
    table(57).assign(b=[0, 2] + [0] * 55).to_parquet("rows.parquet")
    with pytest.raises(JobFailed, match="Let it answer one type; pandas has Int64 for whole numb"):
        score("rows.parquet", "out.parquet", model="changing", part_rows=1)
    done = score("rows.parquet", "out.parquet", model="whole", part_rows=1, overwrite=True)
    assert done.manifest["scored"] == 57
