"""What is advised about a table is done, and then nothing is said of it any more."""

import io
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from cloche.training.dataset.checks.checks import check_split, check_table
from cloche.training.dataset.reading.parquet import write_parquet
from cloche.training.dataset.reading.sources import load_table
from cloche.training.dataset.split import Split, split
from cloche.training.errors import DataError
from cloche.training.recipe.sections import Data
from tests.advice import stand_in, text_of, type_it

Sections = dict[str, Any]
Way = tuple[pd.DataFrame, Sections]
RIDGE = {"estimator": {"class": "sklearn.linear_model.Ridge"}}
BY_TIME = {
    "by": "time", "column": "day",
    "train": ["2020-01-01", "2020-04-30"], "holdout": ["2020-05-01", "2020-12-31"],
}  # fmt: skip


def problem(run: Callable[[], object]) -> str:
    """The only thing that keeps a table from being used."""
    with pytest.raises(DataError) as caught:
        run()
    (only,) = caught.value.problems
    return only


# How what is advised is carried out: the ways that a message names, as a table and the sections of
# its recipe.


def sets_the_task(frame: pd.DataFrame, sections: Sections, message: str) -> list[Way]:
    tasks = re.findall(r"\w+", text_of(r"set task: (.*)", message).replace(" or ", " "))
    others = {key: value for key, value in sections.items() if key != "estimator"}
    return [
        (frame, {**others, "task": task, **(RIDGE if task == "regression" else {})})
        for task in tasks
    ]


def names_a_label(frame: pd.DataFrame, sections: Sections, message: str) -> list[Way]:
    label = yaml.safe_load(text_of(r"which has the labels? ([^,]+)", message))
    return [(frame, {**sections, "positive": label})]


def names_another_column(frame: pd.DataFrame, sections: Sections, message: str) -> list[Way]:
    assert "name another column" in message
    ways: list[Way] = [(frame, {**sections, "target": "member"})]
    if "or add rows with others" in message:
        ways.append((frame.assign(churned=frame["member"]), sections))
    return ways


def names_what_was_meant(frame: pd.DataFrame, sections: Sections, message: str) -> list[Way]:
    wrong, meant = (
        text_of(r"'(\w+)' is absent", message),
        text_of(r"did you mean '(\w+)'\?", message),
    )
    return [(frame, yaml.safe_load(yaml.safe_dump(sections).replace(wrong, meant)))]


def removes_it(frame: pd.DataFrame, sections: Sections, message: str) -> list[Way]:
    name = text_of(r"^(\w+): .*; remove it from the columns", message)
    ways = [(frame, {**sections, "columns": {"numeric": [
        one for one in ("age", "spend") if one != name
    ]}})]  # fmt: skip
    if "accept it" in message:
        accepted = yaml.safe_load(text_of(r"accept it: checks\.(accept_leakage: \[.*\])", message))
        ways.append((frame, {**sections, "checks": accepted}))
    return ways


def lists_it_elsewhere(frame: pd.DataFrame, sections: Sections, message: str) -> list[Way]:
    name = text_of(r"^(\w+): ", message)
    roles = re.findall(r"\w+", text_of(r"list it under ([^;]*)$", message).replace(" or ", " "))
    assert roles
    return [(frame, {**sections, "columns": {role: [name]}}) for role in roles]


def writes_times_so(frame: pd.DataFrame, sections: Sections, message: str) -> list[Way]:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", text_of(r"write (?:times|them) as (\S+)$", message))
    name = text_of(r"^(?:split\.column: )?(\w+): ", message)
    days = pd.date_range("2020-01-01", periods=len(frame)).strftime("%Y-%m-%d")
    return [(frame.assign(**{name: days}), sections)]


def reads_it_so(frame: pd.DataFrame, sections: Sections, message: str) -> list[Way]:
    name = text_of(r"^(\w+): ", message)
    options = yaml.safe_load(text_of(r"data\.options: (\{.*?\}) \(", message))
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)), **options)
    return [(frame.assign(**{name: again[name]}), sections)]


def takes_infinity_for_missing(frame: pd.DataFrame, sections: Sections, message: str) -> list[Way]:
    named = yaml.safe_load(text_of(r"na_values: (\[.*?\])", message))
    infinite = [float(str(one).lstrip(".")) for one in named]
    return [(frame.replace(infinite, np.nan), sections)]


def renames_one(frame: pd.DataFrame, sections: Sections, message: str) -> list[Way]:
    name = text_of(r"two columns are named (\w+); rename one", message)
    names = list(frame.columns)
    names[names.index(name)] = "other"
    return [(frame.set_axis(names, axis=1), sections)]


# What the column holds, the recipe's sections, and how what is said is carried out.
TABLES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], Sections, Callable[..., Any]]] = {
    "three labels": (lambda f: f.assign(churned=f.index % 3), {}, sets_the_task),
    "two labels": (lambda f: f, {"task": "multiclass"}, sets_the_task),
    "a quantity": (lambda f: f.assign(churned=f["age"] / 7 + f["noise"]), {}, sets_the_task),
    "a quantity of several classes": (
        lambda f: f.assign(churned=f["age"] / 7 + f["noise"]), {"task": "multiclass"},
        sets_the_task,
    ),
    "words in a regression": (
        lambda f: f.assign(churned=f["churned"].map({0: "no", 1: "yes"})),
        {"task": "regression", **RIDGE}, sets_the_task,
    ),
    "three words in a regression": (
        lambda f: f.assign(churned=f["plan"]),
        {"task": "regression", "columns": {"numeric": ["age"]}, **RIDGE}, sets_the_task,
    ),
    "no such label": (lambda f: f, {"positive": "yes"}, names_a_label),
    "no target": (lambda f: f.assign(churned=np.nan), {}, names_another_column),
    "one label": (lambda f: f.assign(churned=1), {}, names_another_column),
    "one number": (
        lambda f: f.assign(churned=3.5), {"task": "regression", **RIDGE}, names_another_column,
    ),
    "a target's name": (lambda f: f, {"target": "churnd"}, names_what_was_meant),
    "a column's name": (lambda f: f, {"columns": {"numeric": ["agee"]}}, names_what_was_meant),
    "a slice's name": (lambda f: f, {"slices": ["polan"]}, names_what_was_meant),
    "a group's name": (
        lambda f: f, {"split": {"by": "group", "column": "houshold"}}, names_what_was_meant,
    ),
    "an empty feature": (lambda f: f.assign(age=np.nan), {}, removes_it),
    "a leak": (lambda f: f.assign(age=f["churned"] * 10.0), {}, removes_it),
    "words under numeric": (lambda f: f, {"columns": {"numeric": ["plan"]}}, lists_it_elsewhere),
    "days under numeric": (lambda f: f, {"columns": {"numeric": ["day"]}}, lists_it_elsewhere),
    "times under numeric": (
        lambda f: f.assign(day=pd.to_datetime(f["day"])), {"columns": {"numeric": ["day"]}},
        lists_it_elsewhere,
    ),
    "times under categorical": (
        lambda f: f.assign(day=pd.to_datetime(f["day"])), {"columns": {"categorical": ["day"]}},
        lists_it_elsewhere,
    ),
    "numbers under text": (lambda f: f, {"columns": {"text": ["age"]}}, lists_it_elsewhere),
    "times under text": (
        lambda f: f.assign(day=pd.to_datetime(f["day"])), {"columns": {"text": ["day"]}},
        lists_it_elsewhere,
    ),
    "no times": (
        lambda f: f.assign(day="some day"), {"columns": {"datetime": ["day"]}}, writes_times_so,
    ),
    "numbers for days": (
        lambda f: f.assign(day=20200101), {"split": BY_TIME}, writes_times_so,
    ),
    "words for days": (
        lambda f: f.assign(day="some day"), {"split": BY_TIME}, writes_times_so,
    ),
    "days whose year comes last": (
        lambda f: f.assign(day=pd.to_datetime(f["day"]).dt.strftime("%d.%m.%Y")),
        {"columns": {"numeric": ["age"], "datetime": ["day"]}}, reads_it_so,
    ),
    "days whose first one has a large day": (
        lambda f: f.assign(day=["31.01.2020", *["05.06.2020"] * (len(f) - 1)]),
        {"columns": {"numeric": ["age"], "datetime": ["day"]}}, reads_it_so,
    ),
    "thousands": (
        lambda f: f.assign(spend=(f["spend"] * 1e4).map("{:,.2f}".format)), {}, reads_it_so,
    ),
    "infinity": (
        lambda f: f.assign(spend=f["spend"].where(f.index > 1, np.inf)), {},
        takes_infinity_for_missing,
    ),
    "two of a name": (lambda f: pd.concat([f, f[["age"]]], axis=1), {}, renames_one),
}  # fmt: skip


@pytest.fixture
def table(frame) -> pd.DataFrame:
    """The small table, with another column that can be predicted, and noise."""
    draw = np.random.default_rng(3)
    return frame.assign(member=draw.integers(0, 2, len(frame)), noise=draw.random(len(frame)))


@pytest.mark.parametrize("odd", TABLES)
def test_what_is_advised_about_a_table_lets_it_pass(odd, table, make_recipe):
    change, sections, mend = TABLES[odd]
    wrong = change(table)
    message = problem(lambda: check_table(wrong, make_recipe(**sections)))

    for mended, changed in mend(wrong, sections, message):
        check_table(mended, make_recipe(**changed))


def test_a_feature_without_a_value_to_learn_from_is_removed(table, make_recipe):
    sides = split(table, make_recipe())
    without = Split(sides.train.assign(age=np.nan), sides.holdout)
    message = problem(lambda: check_split(without, make_recipe()))
    ((_, changed),) = removes_it(table, {}, message)
    check_split(without, make_recipe(**changed))


def test_copies_on_both_sides_are_removed_or_grouped_or_accepted(table, make_recipe):
    doubled = pd.concat([table, table], ignore_index=True)

    def passes(frame, **sections):
        recipe = make_recipe(**sections)
        return check_split(split(frame, recipe), recipe)

    message = problem(lambda: passes(doubled))
    assert "remove the duplicates, split by group, or" in message
    passes(doubled.drop_duplicates())
    passes(doubled, split={"by": "group", "column": "customer"})
    passes(doubled, checks=yaml.safe_load(text_of(r"checks\.(duplicates: \S+)$", message)))


DAYS = {"by": "time", "column": "day", "train": ["2019-01-01", "2019-06-30"],
        "holdout": ["2020-05-01", "2020-07-18"]}  # fmt: skip
# What is split, and what is done after what is said.
SPLITS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], Sections, str, Callable[..., Any]]]
SPLITS = {
    "days that no row has": (
        lambda f: f, {"split": DAYS}, r"the table covers (\S+) to \S+$",
        lambda f, s, day: (f, {"split": {**DAYS, "train": [day, "2020-04-30"]}}),
    ),
    "one group": (
        lambda f: f.assign(household=1), {"split": {"by": "group", "column": "household"}},
        r"needs (2) or more$",
        lambda f, s, count: (f.assign(household=f.index % int(count)), s),
    ),
    "one row of a label": (
        lambda f: f.assign(churned=[1] + [0] * 199), {}, r"the label 1, .*; (add rows) with it$",
        lambda f, s, _: (pd.concat([f, f.head(1)]), s),
    ),
    "one row": (
        lambda f: f.head(1), {"split": {"by": "fraction", "stratify": False}}, r"; (add rows)$",
        lambda f, s, _: (pd.concat([f, f]), s),
    ),
    "a small holdout": (
        lambda f: f.head(20).assign(churned=[*range(8), *range(8), *range(4)]),
        {"task": "multiclass"}, r"set split\.(holdout: \S+),",
        lambda f, s, share: (f, {**s, "split": {"by": "fraction", **yaml.safe_load(share)}}),
    ),
    "a small holdout that may be unlike": (
        lambda f: f.head(20).assign(churned=[*range(8), *range(8), *range(4)]),
        {"task": "multiclass"}, r"or set split\.(stratify: \S+)$",
        lambda f, s, said: (f, {**s, "split": {"by": "fraction", **yaml.safe_load(said)}}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("odd", SPLITS)
def test_what_is_advised_about_a_split_makes_it(odd, table, make_recipe):
    change, sections, said, mend = SPLITS[odd]
    wrong = change(table)
    message = problem(lambda: split(wrong, make_recipe(**sections)))
    mended, changed = mend(wrong, sections, text_of(said, message))
    assert len(split(mended, make_recipe(**changed)).holdout)


CSV = "a,b\n1,x\n2,y\n"


def packed() -> bytes:
    pd.DataFrame({"a": [1]}).to_parquet(file := io.BytesIO())
    return file.getvalue()


# Files, the section, what is said, and the section that is written then.
SOURCES: dict[str, tuple[dict[str, bytes], Sections, str, Callable[[str], Any]]] = {
    "a name": ({"rows.csv": CSV.encode()}, {"source": "rosw.csv"}, r"did you mean '(.*)'\?",
               lambda name: {"source": name}),
    "a sample's name": ({}, {"source": "sample:wines"}, r"did you mean '(.*)'\?",
                        lambda name: {"source": f"sample:{name}"}),
    "a separator": ({"rows.csv": CSV.replace(",", ";").encode()}, {"source": "rows.csv"},
                    r"set data\.options\.sep: '(.)'",
                    lambda sep: {"source": "rows.csv", "options": {"sep": sep}}),
    "two kinds": ({"rows/a.csv": CSV.encode(), "rows/b.parquet": b""}, {"source": "rows"},
                  r"name one kind, like data/(\S+)", lambda kind: {"source": f"rows/{kind}"}),
    "another format": ({"rows.csv": packed()}, {"source": "rows.csv"},
                       r"set data\.(format: parquet)$",
                       lambda said: {"source": "rows.csv", **yaml.safe_load(said)}),
    "nothing that is read": ({"rows.csv": CSV.encode()}, {"source": "klingon://x", "query": "x"},
                             r"a source is (a path),", lambda _: {"source": "rows.csv"}),
    "a line without its label": (
        {"rows.txt": b"x|1\ny\n", "mended.txt": b"x|1\ntext|label\n"},
        {"source": "rows.txt", "format": "labelled-lines"}, r"line 2: expected (text\|label)$",
        lambda _: {"source": "mended.txt", "format": "labelled-lines"},
    ),
    "a reader in steps": ({"rows.csv": CSV.encode()},
                          {"source": "rows.csv", "options": {"chunksize": 5}},
                          r"(remove it)", lambda _: {"source": "rows.csv"}),
    "options of labelled lines": (
        {"rows.txt": b"x|1\n"},
        {"source": "rows.txt", "format": "labelled-lines", "options": {"sep": "|"}},
        r"know only the option (\w+)",
        lambda name: {"source": "rows.txt", "format": "labelled-lines", "options": {name: "utf-8"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("odd", SOURCES)
def test_what_is_advised_about_a_source_has_it_read(odd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files, section, said, mend = SOURCES[odd]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    columns = ["a"] if odd == "a separator" else None
    with pytest.raises(DataError) as caught:
        load_table(Data.model_validate(section), columns)
    message = caught.value.problems[0]  # without its separator, a table has no such column either
    assert len(load_table(Data.model_validate(mend(text_of(said, message))), columns).frame)


def test_a_variable_that_is_named_in_a_source_is_set(tmp_path, monkeypatch):
    (tmp_path / "rows.csv").write_text(CSV)
    section = {"source": "${FOLDER_OF_ROWS}/rows.csv"}
    message = problem(lambda: load_table(Data.model_validate(section)))
    monkeypatch.setenv(
        text_of(r"the environment variable (\w+) is not set", message), str(tmp_path)
    )
    assert len(load_table(Data.model_validate(section)).frame) == 2


def test_a_column_of_several_types_is_given_one(tmp_path):
    mixed = pd.DataFrame({"a": [1, "x"]}, dtype=object)
    message = problem(lambda: write_parquet(mixed, tmp_path / "t.parquet", "t"))
    said = r"a: holds values of different types \(int, str\).*give it one type"
    assert re.fullmatch(said, message)
    write_parquet(mixed.astype("str"), tmp_path / "t.parquet", "t")


# Files of other formats, each with what writes a table to it.
OTHER_FORMATS: dict[str, Callable[[pd.DataFrame, str], object]] = {
    "rows.json": lambda table, name: table.to_json(name, orient="records"),
    "rows.jsonl": lambda table, name: table.to_json(name, orient="records", lines=True),
    "rows.feather": lambda table, name: table.to_feather(name),
    "rows.orc": lambda table, name: table.to_orc(name),
}


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[pytest.mark.breadth] * (at > 0))
             for at, one in enumerate(OTHER_FORMATS)]
)  # fmt: skip
def test_a_file_of_another_format_is_written_as_parquet_by_the_command_that_is_told(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    OTHER_FORMATS[name](pd.DataFrame({"나이": [1, 2], "plan": ["x", "y"]}), name)
    said = problem(lambda: load_table(Data.model_validate({"source": name})))
    command = text_of(r"write it as Parquet: (python -c '.*' FILE TABLE\.parquet)$", said)
    stand_in(tmp_path, "python", f'exec {sys.executable} "$@"')
    type_it(command.replace("FILE", name), tmp_path)
    found = load_table(Data.model_validate({"source": "TABLE.parquet"})).frame
    assert found.to_dict("list") == {"나이": [1, 2], "plan": ["x", "y"]}
