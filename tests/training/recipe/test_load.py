"""Recipes from files and names, overridden and dumped; every mistake told at once."""

import re
import zipfile
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.training.errors import RecipeError
from cloche.training.recipe.load import (
    data_section,
    dump_recipe,
    load_recipe,
    shipped,
)
from cloche.training.recipe.metric_catalog import METRICS, metrics_for
from cloche.training.recipe.yaml_document import MAX_BYTES, render


def problems(source, *overrides, **kwargs):
    with pytest.raises(RecipeError) as caught:
        load_recipe(source, overrides, **kwargs)
    return caught.value.problems


def test_all_shipped_recipes_load_and_say_what_they_are():
    assert {"flights", "comments", "breast-cancer", "diabetes"} <= set(shipped())
    for name, about in shipped().items():
        assert load_recipe(name).description.startswith(about)


def test_shipped_recipes_lie_inside_the_package_so_that_a_wheel_has_them():
    assert resources.files("cloche.training.recipe").joinpath("shipped", "flights.yaml").is_file()


def test_a_recipe_is_loaded_from_a_path(write, values):
    recipe = load_recipe(write(values))
    assert recipe.columns.features == ("age", "spend", "plan")
    assert recipe.used_columns == ("age", "spend", "plan", "churned")


def test_overrides_change_the_recipe(write, values):
    recipe = load_recipe(write(values), ["seed=7", "estimator.params.C=1e-2", "metrics=[f1]"])
    assert (recipe.seed, recipe.estimator.params["C"], recipe.primary_metric) == (7, 0.01, "f1")


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_dumped_recipe_loads_to_an_equal_one(name, tmp_path):
    recipe = load_recipe(name)
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(str(copy)) == recipe


names = st.text(min_size=1, max_size=12)


@st.composite
def recipes(draw):
    task = draw(st.sampled_from(["binary", "multiclass", "regression"]))
    columns = draw(st.lists(names, min_size=2, max_size=8, unique=True))
    target, *features = columns
    half = len(features) // 2
    numeric, categorical = features[: half + 1], features[half + 1 :]
    path = "linear_model.Ridge" if task == "regression" else "tree.DecisionTreeClassifier"
    values = {
        "name": draw(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)),
        "description": draw(st.text(max_size=60)),
        "task": task,
        "data": {
            "source": draw(st.from_regex(r"[a-z ]{1,9}\.csv", fullmatch=True)),
            "options": draw(st.dictionaries(names, st.integers() | names, max_size=2)),
        },
        "target": target,
        "split": draw(
            st.fixed_dictionaries({"by": st.just("fraction"), "holdout": st.floats(0.1, 0.9)})
            | st.just({"by": "group", "column": "household"})
            | st.just(
                {
                    "by": "time",
                    "column": "day",
                    "train": ["2020-01-01", "2020-06-30"],
                    "holdout": ["2020-07-01", "2020-08-31"],
                }
            )
        ),
        "columns": {"numeric": numeric, "categorical": categorical},
        "estimator": {"class": f"sklearn.{path}"},
        "metrics": draw(st.lists(st.sampled_from(metrics_for(task)), unique=True)),
        "slices": draw(st.lists(names, max_size=2, unique=True)),
        "gate": {
            "minimum": draw(
                st.dictionaries(st.sampled_from(metrics_for(task)), st.floats(-10, 10), max_size=2)
            ),
            "not_worse": draw(st.none() | st.fixed_dictionaries({"margin": st.floats(0, 1)})),
        },
        "seed": draw(st.integers(0, 2**32 - 1)),
    }
    if task == "binary":
        values["positive"] = draw(st.none() | st.booleans() | st.integers() | names)
    if task != "regression":
        values["search"] = {
            "space": {
                "max_depth": [2, None],
                "min_samples_split": draw(st.sampled_from([[0.1, 2], {"low": 2, "high": 9}])),
            }
        }
    return values


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recipes())
def test_any_recipe_survives_dump_and_load(write, values):
    recipe = load_recipe(write(render(values)))  # PyYAML would leave `0e0`, for us a number, bare
    assert load_recipe(write(dump_recipe(recipe))) == recipe


def test_every_mistake_is_reported_at_once_with_its_line(write):
    found = problems(
        write(
            """\
name: -x
tsk: binary
task: binaryy
data: {sorce: a.csv, format: cvs}
target: [1]
positive: [1]
threshold: 1.5
split: {by: tme, column: d}
columns: {numeric: [a, 3], txt: [b], text: a}
estimator: {class: sklearn.linear_model.LogisticRegression, params: {max_itr: 1}}
search:
  trials: many
  space: {C: {low: 1, hgh: 2}, x: 3, y: [], z: [[1]], q: {low: a, high: 2}, r: {low: 2, high: 1}}
metrics: [auc, roc_auc]
gate: {minimum: {rocauc: 1}, slices: [{column: a}], latency_ms: -1, not_worse: {margin: "0.1"}}
seed: 1.5
"""
        )
    )
    expected = [
        "name (line 1): expected letters, digits",
        "task (line 3): unknown value 'binaryy'; did you mean 'binary'?",
        "data.source: missing",
        "data.format (line 4): unknown value 'cvs'; did you mean 'csv'?",
        "data.sorce (line 4): unknown key; did you mean 'source'?",
        "target (line 5): expected text",
        "positive (line 6): expected text, a number, true or false; found [1]",
        "threshold (line 7): must be below 1, found 1.5",
        "split (line 8): needs the key `by`: time, fraction or group",
        "columns.numeric.1 (line 9): expected text",
        "columns.text (line 9): expected a list, like [a, b], found 'a'",
        "columns.txt (line 9): unknown key; did you mean 'text'?",
        "search.trials (line 12): expected a whole number, found 'many'",
        "search.space.C.hgh (line 13): unknown key; did you mean 'high'?",
        "search.space.x (line 13): expected {low: …, high: …} or a list of choices; found 3",
        "search.space.y (line 13): is empty",
        "search.space.z.0 (line 13): expected text, a number, true or false; found [1]",
        "search.space.q.low (line 13): expected a number; found 'a'",
        "search.space.r (line 13): low (2) must be below high (1)",
        "metrics.0 (line 14): unknown metric; did you mean 'roc_auc'?",
        "gate.minimum.rocauc (line 15): unknown metric; did you mean 'roc_auc'?",
        "gate.slices.0.metric: missing",
        "gate.slices.0.minimum: missing",
        "gate.latency_ms (line 15): must be above 0, found -1",
        "gate.not_worse.margin (line 15): expected a number, found '0.1'",
        "seed (line 16): expected a whole number, found 1.5",
        "tsk (line 2): unknown key; did you mean 'task'?",
        "estimator.params.max_itr: unknown parameter; did you mean 'max_iter'?",
    ]
    for message in expected:
        assert any(one.startswith(message) for one in found), message
    assert len(found) == len(expected) + 1  # search.space.C lacks `high`, too
    assert "search.space.C.high: missing; it is needed" in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "age"}, "columns: 'age' is the target"),
        ({"metrics": ["r2"]}, "metrics: 'r2' is not defined for a binary task"),
        ({"metrics": ["f1", "f1"]}, "metrics: 'f1' is listed more than once"),
        ({"gate": {"minimum": {"mae": 1}}}, "gate.minimum.mae: 'mae' is not defined"),
        ({"gate": {"not_worse": {"metric": "r2"}}}, "gate.not_worse.metric: 'r2' is not defined"),
        (
            {"gate": {"slices": [{"column": "plan", "metric": "r2", "minimum": 0}]}},
            "gate.slices: 'r2' is not defined",
        ),
        ({"checks": {"accept_leakage": ["agee"]}}, "did you mean 'age'?"),
        ({"task": "multiclass", "positive": 1}, "positive: only a binary task"),
        ({"task": "multiclass", "threshold": 0.4}, "threshold: only a binary task"),
        ({"columns": {}}, "columns: name at least one feature"),
        ({"columns": {"numeric": ["a"], "text": ["a"]}}, "columns: listed more than once: a"),
        ({"data": {"source": "a.csv", "format": "sample"}}, "data.format: sample needs a source"),
        ({"data": {"source": "a.csv", "format": "sql"}}, "data.format: sql needs a SQLAlchemy URL"),
        ({"data": {"source": "sample:wine", "format": "csv"}}, "data.format: 'sample:wine' is a"),
        (
            {"data": {"source": "sqlite:///a", "query": "SELECT 1", "format": "csv"}},
            "data.format: a database is not read as csv",
        ),
        ({"data": {"source": "sqlite:///a.db"}}, "data.query: missing"),
        ({"data": {"source": "a.csv", "query": "SELECT 1"}}, "data.query: only a database"),
        ({"data": {"source": ""}}, "data.source"),
        ({"text": {"ngrams": [3, 1]}}, "text.ngrams: expected the shortest length"),
        ({"text": {"ngrams": [1]}}, "text.ngrams.1: missing"),
        ({"text": {"ngrams": [1, 2, 3]}}, "text.ngrams: expected 2 values"),
        ({"estimator": {"class": "Ridge"}}, "estimator.class: expected the dotted path"),
        ({"estimator": None}, "estimator: expected keys and values, found None"),
        ({"search": {"space": {"C": {"low": 0, "high": 1, "log": True}}}}, "a logarithmic range"),
        ({"seed": -1}, "seed: must be at least 0, found -1"),
    ],
)
def test_parts_that_disagree_are_named(write, values, change, message):
    found = problems(write({**values, **change}))
    plain = [re.sub(r" \(line \d+\)", "", one) for one in found]
    assert any(message in one for one in plain), plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": ["2013-02-30", "2013-03-01"]}, "split.train.0: expected a day"),
        ({"train": ["2013-03-01", "2013-02-01"]}, "train ends (2013-02-01) before it begins"),
        ({"holdout": ["2013-05-01", "2013-06-01"]}, "the holdout begins (2013-05-01) before"),
        ({"column": None}, "split.column: expected text"),
        ({"x": 1}, "split.x: unknown key; there are by, column, train, holdout"),
    ],
)
def test_a_split_by_time_must_make_sense(write, values, change, message):
    split = {
        "by": "time",
        "column": "day",
        "train": ["2013-01-01", "2013-06-30"],
        "holdout": ["2013-07-01", "2013-08-31"],
    }
    found = problems(write({**values, "split": {**split, **change}}))
    assert any(message in re.sub(r" \(line \d+\)", "", one) for one in found), found


def test_a_mistake_in_an_override_is_named_with_the_nearest_key(write, values):
    path = write(values)
    assert problems(path, "sede=1") == ("sede: unknown key; did you mean 'seed'?",)
    assert problems(path, "split.holdot=0.1", "seed") == (
        "--set 'seed': write key=value, like seed=7",
        "split.holdot: unknown key; did you mean 'holdout'?",
    )


def test_an_overridden_value_is_not_blamed_on_a_line_of_the_file(write, values):
    (found,) = problems(write(values), "split.holdout=2")
    assert found == "split.holdout: must be below 1, found 2"


def test_a_name_that_is_nothing_lists_what_there_is():
    (found,) = problems("flight")
    assert "comments" in found
    assert "did you mean 'flights'?" in found


def test_files_that_are_no_recipes_are_refused(tmp_path):
    binary = tmp_path / "model.bin"
    binary.write_bytes(bytes(range(256)))
    huge = tmp_path / "huge.yaml"
    huge.write_text("#" * (MAX_BYTES + 1))
    archive = tmp_path / "recipe.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("recipe.yaml", "name: x")
    assert "is no text file" in problems(str(binary))[0]
    assert "larger than" in problems(str(huge))[0]
    assert "text" in problems(str(archive))[0] or "YAML" in problems(str(archive))[0]
    assert "is a directory" in problems(str(tmp_path))[0]


def test_a_file_written_on_windows_is_read(tmp_path, values, write):
    path = Path(write(values))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_recipe(str(path)).name == "churn"


def test_a_password_is_refused_and_never_shown(write, values):
    for given_data in ("postgresql://me:hunter2@db/x", "https://me:hunter2@example.com/a.csv"):
        found = problems(write(values), data=given_data)
        assert any("holds a password" in one for one in found)
        assert "hunter2" not in "".join(found)


def test_a_variable_in_place_of_a_password_is_accepted():
    data = data_section({"source": "postgresql://me:${DB_PASSWORD}@db/x", "query": "SELECT 1"})
    assert "${DB_PASSWORD}" in data.source


def test_another_source_takes_what_fitted_only_the_old_one_away(write, values):
    sql = {"source": "sqlite:///a.db", "query": "SELECT 1", "format": "sql"}
    recipe = load_recipe(write({**values, "data": sql}), data="a.csv")
    assert (recipe.data.source, recipe.data.query, recipe.data.format) == ("a.csv", None, "auto")
    assert load_recipe("flights", data="nov.csv").data.format == "auto"
    assert load_recipe("comments", data="mine.txt").data.format == "labelled-lines"


def test_data_sections_name_their_mistakes():
    with pytest.raises(RecipeError, match="did you mean 'query'"):
        data_section({"source": "a.csv", "qery": "x"})
    with pytest.raises(RecipeError, match=r"data\.query: missing"):
        data_section({"source": "sqlite:///a.db"})


def test_the_first_metric_of_the_task_is_primary_when_none_is_named(write, values):
    assert load_recipe(write(values)).primary_metric == metrics_for("binary")[0]
    assert set(metrics_for("regression")) == {"r2", "mae", "rmse", "mape"}
    assert all(metric.tasks for metric in METRICS.values())
