"""Recipes from files and names, overridden and dumped; every mistake told at once."""

import re
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.training.errors import RecipeError
from cloche.training.recipe.load import data_section, dump_recipe, load_recipe, shipped
from cloche.training.recipe.metric_catalog import METRICS, metrics_for
from cloche.training.recipe.yaml_document import MAX_BYTES, render


def problems(source, *overrides, **kwargs):
    with pytest.raises(RecipeError) as caught:
        load_recipe(source, overrides, **kwargs)
    return caught.value.problems


def test_all_shipped_recipes_load_say_what_they_are_and_survive_a_dump(write):
    assert {"flights", "comments", "breast-cancer", "diabetes"} <= set(shipped())
    for name, about in shipped().items():
        recipe = load_recipe(name)
        assert recipe.description.startswith(about)
        assert load_recipe(write(dump_recipe(recipe))) == recipe


def test_overrides_change_the_recipe(write, values):
    recipe = load_recipe(write(values), ["seed=7", "estimator.params.C=1e-2", "metrics=[f1]"])
    assert (recipe.seed, recipe.estimator.params["C"], recipe.primary_metric) == (7, 0.01, "f1")


names = st.text(min_size=1, max_size=12)
BY_TIME = {
    "by": "time", "column": "day",
    "train": ["2013-01-01", "2013-06-30"], "holdout": ["2013-07-01", "2013-08-31"],
}  # fmt: skip


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
            | st.just(BY_TIME)
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
        "rollout": draw(st.none() | st.just({"steps": [0.5, 10], "shadow": {}, "slow": None})),
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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recipes())
def test_any_recipe_survives_dump_and_load(write, values):
    recipe = load_recipe(write(render(values)))  # PyYAML would leave `0e0`, for us a number, bare
    assert load_recipe(write(dump_recipe(recipe))) == recipe


def test_every_mistake_is_reported_at_once_with_its_line(write):
    text = """\
name: -x
tsk: binary
data: {sorce: a.csv}
target: [1]
columns: {numeric: [a, 3], txt: [b]}
estimator: {class: sklearn.linear_model.LogisticRegression, params: {max_itr: 1}}
search:
  trials: many
  space: {z: [[1]], q: {low: a, high: 2}}
gate: {slices: [{column: a}]}
rollout:
  steps: [5, 1]
  failures: {ratio: x, margn: 0.1}
seed: 1.5
"""
    found = problems(write(text))
    expected = [
        "name (line 1): expected letters, digits",
        "tsk (line 2): unknown key; did you mean 'task'?",
        "task: missing",
        "split: missing",
        "data.source: missing",
        "data.sorce (line 3): unknown key; did you mean 'source'?",
        "target (line 4): expected text",
        "columns.numeric.1 (line 5): expected text",
        "columns.txt (line 5): unknown key; did you mean 'text'?",
        "estimator.params.max_itr: unknown parameter; did you mean 'max_iter'?",
        "search.trials (line 8): expected a whole number, found 'many'",
        "search.space.z.0 (line 9): expected text, a number, true or false; found [1]",
        "search.space.q.low (line 9): expected a number; found 'a'",
        "gate.slices.0.metric: missing",
        "gate.slices.0.minimum: missing",
        "rollout.steps (line 12): must ascend, found [5, 1]",
        "rollout.failures.ratio (line 13): expected a number, found 'x'",
        "rollout.failures.margn (line 13): unknown key; the keys are ratio, margin",
        "seed (line 14): expected a whole number, found 1.5",
    ]
    assert [said for said in expected if not any(one.startswith(said) for one in found)] == []
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["f1", "f1"]}, "metrics: 'f1' is listed more than once"),
        ({"data": {"source": ""}}, "data.source"),
        ({"text": {"ngrams": [1]}}, "text.ngrams.1: missing"),
        ({"estimator": None}, "estimator: expected keys and values, found None"),
        (
            {"split": {**BY_TIME, "train": ["2013-03-01", "2013-02-01"]}},
            "train ends (2013-02-01) before it begins",
        ),
        ({"split": {**BY_TIME, "column": None}}, "split.column: expected text"),
        (
            {"split": {**BY_TIME, "x": 1}},
            "split.x: unknown key; there are by, column, train, holdout",
        ),
    ],
)
def test_parts_that_disagree_are_named(write, values, change, message):
    found = problems(write({**values, **change}))
    plain = [re.sub(r" \(line \d+\)", "", one) for one in found]
    assert any(message in one for one in plain), plain


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


def test_the_first_metric_of_the_task_is_primary_when_none_is_named(write, values):
    assert load_recipe(write(values)).primary_metric == metrics_for("binary")[0]
    assert set(metrics_for("regression")) == {"r2", "mae", "rmse", "mape"}
    assert all(metric.tasks for metric in METRICS.values())
