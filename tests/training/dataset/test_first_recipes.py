"""Tables as people have them: a first recipe passes its checks, or a sentence says what mends it.

Each table goes the way of `cloche init` and `cloche train --explain`, in this process, and is read
as `cloche score` reads it. A refusal comes with the change that its message asks for, and with that
the table passes.
"""

import contextlib
import gzip
import io
import os
import shlex
import sqlite3
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow.models import Model, ModelSignature
from sklearn import datasets

from cloche import main
from cloche.serving.batch import resume_checks
from cloche.serving.batch.input import inputs as supply
from cloche.serving.batch.input.csv_options import parsed
from cloche.serving.batch.input.partitions import Partitioner
from cloche.serving.batch.job.options import JobOptions
from cloche.serving.batch.output import layout
from cloche.serving.batch.scoring.worker import Worker
from cloche.serving.batch.spark.read_stage import UnloadedScorer
from cloche.serving.errors import ServingError
from cloche.training.cli.init import init
from cloche.training.dataset.reading.datetimes import parse_times
from cloche.training.dataset.reading.sources import load_table
from cloche.training.errors import ClocheError
from cloche.training.explain import explain
from cloche.training.packaging.model import METADATA, reading_of
from cloche.training.packaging.signature import make_signature, model_inputs
from cloche.training.recipe.load import load_recipe
from cloche.training.recipe.schema import Recipe

DRAW = np.random.default_rng(1)
ROWS = 120


def people(rows: int = ROWS, **columns: Any) -> pd.DataFrame:
    """A plain table with one column of each kind, and others in the place of these."""
    draw = np.random.default_rng(rows)
    plain = {
        "age": draw.integers(18, 80, rows),
        "spend": draw.gamma(2, 30, rows).round(2),
        "plan": draw.choice(["free", "basic", "gold"], rows),
        "churned": draw.choice(["yes", "no"], rows),
    }
    return pd.DataFrame({**plain, **columns})


def csv(frame: pd.DataFrame | None = None, encoding: str = "utf-8", **options: Any) -> bytes:
    """A table as the bytes of a CSV file."""
    text: str = (people() if frame is None else frame).to_csv(index=False, **options)
    return text.encode(encoding)


def with_target(**target: Any) -> bytes:
    """A CSV file whose last column is the target."""
    return csv(people().drop(columns="churned").assign(**target))


def archive(**files: bytes) -> bytes:
    """A ZIP archive; two underscores in a name stand for a slash."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        for name, content in files.items():
            made.writestr(name.replace("__", "/"), content)
    return packed.getvalue()


def pages(write: Callable[[Path], Any], tmp: Path) -> bytes:
    """The bytes of a file that a library writes."""
    path = tmp / "written"
    write(path)
    return path.read_bytes()


def database(path: Path) -> None:
    """A SQLite database with one table, `rows`."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        people().to_sql("rows", connection, index=False)


@dataclass(frozen=True)
class Odd:
    """A table, and what becomes of it.

    Attributes:
        content: of the file, or what makes it from a folder.
        name: of the file.
        task: of the first recipe, where there is one.
        refused: what the refusal says; empty where there is none.
        options: arguments of `cloche init` that the message asks for.
        overrides: of the recipe, likewise.
        mended: the file as the message asks for it, likewise.
        mended_name: the name of the file, likewise.
        unscored: what `cloche score` says of the table that was learned from; empty where it takes
            it.
    """

    content: bytes | Callable[[Path], bytes]
    name: str = "rows.csv"
    task: str = "binary"
    refused: str = ""
    options: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    mended: bytes | None = None
    mended_name: str = ""
    unscored: str = ""


LATE = {"day": [f"2024-01-0{at}" for at in range(1, 9) for _ in range(5)] + ["2024-02-01"] * 80}
MONEY = people(2 * ROWS)["spend"].head(ROWS) * 100
AMOUNTS = {
    "won": [f"₩{value:,.0f}" for value in MONEY],
    "dollars": [f"${value:,.2f}" for value in MONEY],
    "percent": [f"{value:.1f}%" for value in MONEY],
    "weight": [f"{value:.1f} kg" for value in MONEY],
}
JSON = people().to_json(orient="records")
RARE = ["rare", *["yes", "no"] * 59, "yes"]
WORDS = [" ".join(DRAW.choice(["good", "bad", "slow", "late", "x"], 6)) for _ in range(ROWS)]
NOT_READ = "write it as Parquet: python -c"

PASS = {
    "plain": Odd(csv()),
    "semicolons": Odd(csv(sep=";")),
    "semicolons and decimal commas": Odd(csv(sep=";", decimal=",")),
    "blanks": Odd(people().to_string(index=False).encode(), "rows.txt",
                  unscored="a table that was read with sep"),
    "a byte order mark": Odd(csv(encoding="utf-8-sig")),
    "UTF-16": Odd(csv(encoding="utf-16")),
    "Korean": Odd(csv(people().rename(columns={"churned": "해지", "age": "나이"}))),
    "names with blanks": Odd(csv(people().rename(columns=lambda name: f" {name} "))),
    "names with marks": Odd(csv(people().rename(columns={"age": 'a.b/c"', "spend": "x{y}: z"}))),
    "a name twice": Odd(csv(people().rename(columns={"spend": "age"})),
                        unscored="'age.1' is what a training on CSV calls the second"),
    "a column without a name": Odd(csv(people().rename(columns={"spend": ""}))),
    "lines above the header": Odd(b"Customers of 2024\n\n" + csv()),
    "comments above the header": Odd(b"# from the shop\n# 2024\n" + csv()),
    "a spreadsheet's hint": Odd(b"sep=;\n" + csv(sep=";")),
    "a line below": Odd(csv() + b"Total,,,\n"),
    "a short last line": Odd(csv() + b"1,2\n"),
    "gaps in the target": Odd(csv(people(churned=[None, *["yes", "no"] * 59, None]))),
    "gaps in truth values": Odd(csv(people(churned=[None, *[True, False] * 59, None]))),
    "gaps in whole labels": Odd(csv(people(churned=[None, *[0, 1] * 59, None]))),
    "gaps in a quantity": Odd(
        with_target(height=MONEY.where(MONEY.index % 5 > 0)), task="regression"
    ),
    "gaps everywhere": Odd(csv(people().mask(DRAW.random((ROWS, 4)) < 0.3))),
    "whole numbers as fractions in 20 rows": Odd(
        csv(people(20, weight=np.arange(20) % 13 + 50.0)), task="binary"
    ),
    "a quantity in 20 rows": Odd(
        csv(people(20).drop(columns="churned").assign(weight=np.arange(20) % 13 + 50)),
        task="regression",
    ),
    "counts": Odd(with_target(visits=[*[0, 1, 2, 3] * 29, 4, 5, 5, 6]), task="regression"),
    "stars": Odd(csv(pd.DataFrame({"comment": WORDS, "stars": DRAW.integers(1, 6, ROWS)})),
                 task="multiclass"),
    "a label of one row": Odd(csv(people(churned=RARE)), task="multiclass"),
    "days as the last column": Odd(
        with_target(when=pd.date_range("2020-01-01", periods=ROWS).astype(str)), task="multiclass"
    ),
    "days that are the only feature": Odd(
        csv(pd.DataFrame({"day": pd.date_range("2020-01-01", periods=ROWS), "t": MONEY})),
        task="regression",
    ),
    "free text as the last column": Odd(with_target(note=WORDS), task="multiclass"),
    "many rows on the last day": Odd(csv(people(**LATE)[["day", "age", "plan", "churned"]])),
    "wide": Odd(csv(pd.DataFrame(DRAW.normal(size=(60, 80))).assign(y=[0, 1] * 30))),
    "5 rows": Odd(csv(people(5, churned=["yes", "no", "yes", "no", "yes"]))),
    "Parquet under another name": Odd(partial(pages, people().to_parquet),
                                      unscored="score it with --input-format parquet"),
    "compressed": Odd(gzip.compress(csv()), "rows.csv.gz"),
    "an archive of one file": Odd(archive(rows=csv()), "rows.csv.zip", unscored="with unzip"),
}  # fmt: skip

REFUSED = {
    "CP949": Odd(
        csv(people(plan=["무료", "기본"] * 60), encoding="cp949"),
        refused="set data.options.encoding, like cp949 (Korean)",
        options=("--option", "encoding=cp949"),
    ),
    "Shift JIS": Odd(
        csv(people(plan=["無料", "基本"] * 60), encoding="shift_jis"),
        refused="shift_jis (Japanese)", options=("--option", "encoding=shift_jis"),
    ),
    "Latin-1": Odd(
        csv(people().rename(columns={"age": "âge"}), encoding="latin-1"), refused="or latin-1",
        options=("--option", "encoding=latin-1"),
    ),
    **{
        f"{name} as text": Odd(
            with_target(price=values),
            refused="price: holds numbers as formatted text; write them as plain numbers, like "
            "1234 for ₩1,234",
            mended=with_target(price=MONEY),
            task="regression",
        )
        for name, values in AMOUNTS.items()
    },
    "a few amounts as text": Odd(
        with_target(price=[f"₩{1_000 * (5 + at % 30):,}" for at in range(ROWS)]),
        refused="price: holds numbers as formatted text; write them as plain numbers",
        mended=with_target(price=[1_000 * (5 + at % 30) for at in range(ROWS)]),
        task="regression",
    ),
    "thousands with commas": Odd(
        with_target(price=[f"{value:,.2f}" for value in MONEY]),
        refused="(with cloche init: --option thousands=,)", options=("--option", "thousands=,"),
        task="regression",
    ),
    "decimals with commas": Odd(
        with_target(price=[f"{value:.2f}".replace(".", ",") for value in MONEY]),
        refused="(with cloche init: --option decimal=,)", options=("--option", "decimal=,"),
        task="regression",
    ),
    "a line with a field too many": Odd(
        csv() + b"1,2,free,yes,more\n",
        refused="line 122 has 5 fields, and the lines above have 4; mend it, or leave such lines "
        "out: data.options: {on_bad_lines: skip}",
        options=("--option", "on_bad_lines=skip"),
    ),
    "a quotation mark that stays open": Odd(
        csv() + b'1,2,"free,yes\n', refused="a quotation mark in line 122 is never closed",
        options=("--option", "quoting=3"), unscored="a table that was read with quoting",
    ),
    "infinity": Odd(
        csv(people(spend=MONEY.where(MONEY.index > 0, np.inf))),
        refused="spend: is infinite in 1 row(s); read infinity as missing: data.options.na_values",
        overrides=("data.options.na_values=[inf, -inf]",),
    ),
    "an infinite target": Odd(
        with_target(price=MONEY.where(MONEY.index > 0, -np.inf)),
        refused="price: the target is infinite in 1 row(s)",
        overrides=("data.options.na_values=[inf, -inf]",), task="regression",
    ),
    "copies": Odd(
        csv(pd.concat([people()] * 3)), refused="remove the duplicates",
        mended=csv(pd.concat([people()] * 3).drop_duplicates()),
    ),
    "copies that are none": Odd(
        csv(pd.concat([people()] * 3)), refused="accept it: checks.duplicates: 0.9",
        overrides=("checks.duplicates=1",),
    ),
    "no row": Odd(csv(people().head(0)), refused="has columns and no rows", mended=csv()),
    "one row": Odd(csv(people(1)), refused="add rows, or name another target", mended=csv()),
    "two rows": Odd(csv(people(2)), refused="5 are the fewest", mended=csv()),
    "one positive row": Odd(
        csv(people(churned=["yes", *["no"] * 119])),
        refused="only one row has the label 'yes', and training and holdout need one each; add",
        mended=csv(people(churned=["yes", "yes", "yes", "yes", *["no"] * 116])),
    ),
    "one label": Odd(
        csv(people(churned="no")),
        refused="churned: one value in all rows; name another target with --target",
        options=("--target", "plan"), task="multiclass",
    ),
    "free text": Odd(
        csv(people(churned=WORDS)).replace(b"churned", b"label", 1),
        refused="labels of text; name another target with --target", options=("--target", "plan"),
        task="multiclass",
    ),
    "days": Odd(
        csv(people(target=pd.date_range("2020-01-01", periods=ROWS))),
        refused="target: holds times, and labels or numbers are predicted; name another target",
        options=("--target", "churned"),
    ),
    "days whose year comes last": Odd(
        csv(people(target=pd.date_range("2020-01-01", periods=ROWS).strftime("%d.%m.%Y"))),
        refused="target: holds days as text whose year comes last",
        options=("--target", "churned", "--option", "parse_dates=[target]", "--option",
                 "dayfirst=true"),
    ),
    "one column": Odd(csv(people()[["spend"]]), refused="the table has one column", mended=csv()),
    "identifiers": Odd(
        csv(pd.DataFrame({"id": range(ROWS), "y": ["a", "b"] * 60})),
        refused="no column can be a feature: id: an identifier. Add columns",
        mended=csv(people().assign(id=range(ROWS))),
    ),
    "JSON": Odd(JSON.encode(), "rows.json", refused=f"is JSON, which is not read here; {NOT_READ}",
                mended=csv(), mended_name="rows.csv"),
    "lines of JSON": Odd(
        people().to_json(orient="records", lines=True).encode(), "rows.jsonl",
        refused="is JSON", mended=csv(), mended_name="rows.csv",
    ),
    "Excel": Odd(archive(xl__workbook=b"<x/>"), "rows.xlsx",
                 refused="is an Excel workbook, which is not read here; save it as CSV",
                 mended=csv(), mended_name="rows.csv"),
    "old Excel": Odd(b"\xd0\xcf\x11\xe0" + b"\0" * 600, "rows.xls", refused="is an Excel workbook",
                     mended=csv(), mended_name="rows.csv"),
    "Feather": Odd(partial(pages, people().to_feather), "rows.feather",
                   refused="is an Arrow (Feather) file", mended=csv(), mended_name="rows.csv"),
    "SQLite": Odd(partial(pages, database), "shop.db", refused="is a SQLite database; name it as "
                  "sqlite:///PATH", mended=b"", mended_name="sqlite"),
    "a web page": Odd(b"<html><table></table></html>", "rows.html", refused="is a web page (HTML)",
                      mended=csv(), mended_name="rows.csv"),
    "an archive of two files": Odd(archive(a=csv(), b=csv()), "rows.csv.zip",
                                   refused="is an archive of 2 files; unpack it", mended=csv(),
                                   mended_name="a.csv"),
    "an archive without its suffix": Odd(archive(a=csv()), refused="end its name in .zip",
                                         mended_name="rows.zip", unscored="with unzip"),
    "compressed without its suffix": Odd(gzip.compress(csv()), refused="end its name in .gz",
                                         mended_name="rows.csv.gz"),
    "empty": Odd(b"", refused="is empty", mended=csv()),
    "a picture": Odd(b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "rows.png",
                     refused="is binary, and no text; convert it to CSV or Parquet", mended=csv(),
                     mended_name="rows.csv"),
}  # fmt: skip


@pytest.fixture
def first_recipe(tmp_path, monkeypatch) -> Callable[..., Recipe]:
    """Writes a table, drafts a recipe for it, and explains it; raises what a user is told."""
    monkeypatch.chdir(tmp_path)

    def walk(
        content: bytes, name: str, options: tuple[str, ...] = (), overrides: tuple[str, ...] = ()
    ) -> Recipe:
        source = name
        if name == "sqlite":
            source, options = "sqlite:///shop.db", ("--query", "SELECT * FROM rows")
        else:
            Path(name).write_bytes(content)
        arguments = [source, *options, "--output", "first.yaml", "--force"]
        done = CliRunner().invoke(init, arguments)
        if done.exception:
            raise done.exception
        recipe = load_recipe("first.yaml", overrides)
        explain(recipe)
        return recipe

    return walk


def content_of(odd: Odd, tmp_path: Path) -> bytes:
    return odd.content if isinstance(odd.content, bytes) else odd.content(tmp_path)


# Tables of the same kind as another one.
ALIKE = {
    "wide", "names with blanks", "gaps in whole labels", "comments above the header",
    "a short last line", "counts", "Shift JIS", "Latin-1", "dollars as text", "percent as text",
    "weight as text", "two rows", "lines of JSON", "old Excel", "compressed without its suffix",
}  # fmt: skip


def each(tables: dict[str, Odd]) -> list[Any]:
    return [pytest.param(one, marks=pytest.mark.breadth if one in ALIKE else ()) for one in tables]


@pytest.mark.parametrize("name", each(PASS))
def test_a_first_recipe_passes_its_own_checks(name, first_recipe, tmp_path):
    odd = PASS[name]
    recipe = first_recipe(content_of(odd, tmp_path), odd.name)
    assert recipe.task == odd.task
    assert_scored(recipe, odd.unscored)


@pytest.mark.parametrize("name", each(REFUSED))
def test_a_refusal_says_in_a_sentence_what_then_works(name, first_recipe, tmp_path):
    odd = REFUSED[name]
    content = content_of(odd, tmp_path)
    with pytest.raises(ClocheError) as caught:
        first_recipe(content, odd.name)
    (problem,) = caught.value.problems
    assert odd.refused in problem
    mended = content if odd.mended is None else odd.mended
    recipe = first_recipe(mended, odd.mended_name or odd.name, odd.options, odd.overrides)
    assert recipe.task == odd.task
    if odd.mended is None or odd.mended_name == "sqlite":  # others are like those above
        assert_scored(recipe, odd.unscored)


def assert_scored(recipe: Recipe, unscored: str = "") -> None:
    """See that `cloche score` gives a version the values that it learned from.

    Args:
        recipe: of the version; its model is not made, for only its signature decides.
        unscored: what is said of the table first; what it asks for is then done.
    """
    table = load_table(recipe.data, recipe.used_columns).frame
    read = {name: parse_times(table, name) for name in recipe.columns.datetime}
    learned = model_inputs(table.assign(**read), recipe.columns)
    signature = make_signature(learned, pd.DataFrame({"prediction": [1.0]}))
    if unscored:
        with pytest.raises(ServingError) as caught:
            scored_inputs(recipe, signature, recipe.data.source)
        assert unscored in str(caught.value)
        typed = shlex.split(str(caught.value).partition(". Where")[0])
        given = dict(pairwise(typed))
        source, form = recipe.data.source, given.get("--input-format")
        if form is None:  # all others ask for plain CSV
            source = "plain.csv"
            table.to_csv(source, index=False)
        options = parsed(given.get("--options"))
        inputs, refused = scored_inputs(recipe, signature, source, form, options)
    else:
        inputs, refused = scored_inputs(recipe, signature, recipe.data.source)
    # a line with a field too many, of which training reads the first fields
    assert len(refused) == (recipe.data.options.get("on_bad_lines") == "skip")
    learned = learned.drop(index=list(refused))
    pd.testing.assert_frame_equal(inputs.reset_index(drop=True), learned, check_column_type=False)


def scored_inputs(
    recipe: Recipe, signature: ModelSignature, source: str, form: str | None = None,
    options: dict[str, Any] | None = None,
) -> tuple[pd.DataFrame, dict[int, str]]:  # fmt: skip
    """What `cloche score` would give to the version's model, and why rows are refused."""
    version = Path("version")
    version.mkdir(exist_ok=True)
    policy = {METADATA: {"reading": reading_of(recipe)}}
    Model(signature=signature, metadata=policy).save(str(version / "MLmodel"))
    if recipe.data.query:
        given: supply.Inputs = supply.Query(source, recipe.data.query, 1000)
    else:
        given = supply.Files(source, form)
    request = JobOptions(model=str(version), cache=Path("cache"), options=options or {})
    job = resume_checks.pin_job(request, given, layout.describe("out.csv", None), lambda _: None)
    spool = Path("spool")
    spool.mkdir(exist_ok=True)
    worker = Worker(job, spool, UnloadedScorer(signature.inputs))
    parts = given.parts(Partitioner(job.part_rows, spool, job.inferred), frozenset())
    found = [worker.read(part) for part in parts]
    inputs = pd.concat([rows.inputs for rows in found])
    refused = {at: reason for rows in found for at, reason in rows.refused.items()}
    return inputs[list(recipe.columns.features)], refused


# One of the tables of scikit-learn for each task; they are of more kinds than ours.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "linnerud" else pytest.mark.breadth)
        for name in ("iris", "breast_cancer", "diabetes", "linnerud")
    ],
)
def test_tables_of_a_package_pass(name, first_recipe):
    table = getattr(datasets, f"load_{name}")(as_frame=True).frame
    assert_scored(first_recipe(csv(table), "rows.csv"))


@pytest.mark.breadth
@pytest.mark.parametrize(
    "name",
    ["blanks", "UTF-16", "a label of one row", "5 rows", "a quantity in 20 rows",
     "names with marks"],
)  # fmt: skip
@pytest.mark.usefixtures("client", "forked_programs")
def test_a_first_recipe_is_trained_promoted_and_scored_without_a_change(name, first_recipe):
    odd = PASS[name]
    assert isinstance(odd.content, bytes)
    recipe = first_recipe(odd.content, odd.name)
    uri = f"models:/{recipe.name}@production"
    score = ["score", uri, recipe.data.source, "scores.csv", "--no-track"]
    if odd.unscored:
        score[2] = "plain.csv"
        load_table(recipe.data).frame.to_csv("plain.csv", index=False)
        score += ["--options", "{sep: null}"]
    for arguments in (["train", "first.yaml"], ["promote", recipe.name], score):
        done = CliRunner().invoke(main.cloche, arguments, env={**os.environ})
        assert done.exit_code == 0, (arguments, done.output, done.exception)
