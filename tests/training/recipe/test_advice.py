"""What the message about a mistake in a recipe advises is written into it, and it loads."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from cloche.training.errors import RecipeError
from cloche.training.recipe.load import load_recipe, shipped
from tests.advice import text_of

Values = dict[str, Any]
BY_TIME = {
    "by": "time", "column": "day",
    "train": ["2013-01-01", "2013-06-30"], "holdout": ["2013-07-01", "2013-08-31"],
}  # fmt: skip
SPLITS = {"time": BY_TIME, "fraction": {"by": "fraction"}, "group": {"by": "group", "column": "h"}}
DATABASE = {"source": "sqlite:///shop.db", "query": "SELECT 1"}


def problem(source: str, *overrides: str) -> str:
    """The only mistake of a recipe."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(source, overrides)
    (only,) = caught.value.problems
    return only


# How what is advised is carried out. Each takes a copy of the recipe's values and the message, and
# returns other values where the message names several ways.


def place_of(values: Values, message: str) -> tuple[Any, Any]:
    """What holds the key that a message begins with, and the key."""
    holder: Any = values
    path = re.split(r" \(line|: ", message, maxsplit=1)[0].split(".")
    for part in path[:-1]:
        holder = holder[int(part) if isinstance(holder, list) else part]
    return holder, int(path[-1]) if isinstance(holder, list) else path[-1]


def renames_the_key(values: Values, message: str) -> None:
    holder, key = place_of(values, message)
    holder[text_of(r"did you mean '([^']+)'\?", message)] = holder.pop(key)


def takes_one_that_there_is(values: Values, message: str) -> None:
    holder, key = place_of(values, message)
    holder[key] = text_of(r"there are (\w+)", message)


def writes_what_was_meant(values: Values, message: str) -> None:
    holder, key = place_of(values, message)
    holder[key] = text_of(r"did you mean '?([\w.]+)'?\?", message)


def names_the_feature_that_was_meant(values: Values, message: str) -> None:
    values["checks"]["accept_leakage"] = [text_of(r"did you mean '(\w+)'\?", message)]


def removes_it(values: Values, message: str) -> None:
    assert re.search(r"remove (it|the format)\b", message)
    holder, key = place_of(values, message)
    del holder[key]


def removes_it_from_the_features(values: Values, message: str) -> None:
    name = text_of(r"'(\w+)' is the target; remove it from the features", message)
    for names in values["columns"].values():
        names[:] = [one for one in names if one != name]


def takes_one_of_them(values: Values, message: str) -> list[Values]:
    wrong, choices = text_of(r"'(\w+)' is not", message), text_of(r"take one of (.*)", message)
    text = yaml.safe_dump(values)
    return [yaml.safe_load(re.sub(rf"\b{wrong}\b", choice, text)) for choice in choices.split(", ")]


def gives_such_a_source(values: Values, message: str) -> None:
    values["data"]["source"] = text_of(r"like (\S+?)(?:,|$)", message)
    if "SQLAlchemy" in message:
        values["data"]["query"] = "SELECT 1"


def gives_such_a_query(values: Values, message: str) -> None:
    values["data"]["query"] = text_of(r"like: (.*)", message)


def removes_it_or_gives_a_url(values: Values, message: str) -> list[Values]:
    assert message.endswith("remove it, or give a SQLAlchemy URL")
    return [{**values, "data": data} for data in ({"source": "churn.csv"}, DATABASE)]


def writes_a_variable(values: Values, message: str) -> None:
    variable = text_of(r"write (\$\{\w+\}) in its place", message)
    values["data"]["source"] = values["data"]["source"].replace("hunter2", variable)


def writes_such_a_value(values: Values, message: str) -> None:
    holder, key = place_of(values, message)
    holder[key] = yaml.safe_load(text_of(r"like (\[.*?\]|[\w.-]+)", message))


EXPECTED: dict[str, Any] = {
    "text, a number, true or false": 1, "a number": 0.5, "true or false": False,
    "letters, digits, '.', '_' and '-', a letter or digit first": "a-b_1.c", "2 values": [1, 2],
}  # fmt: skip


def writes_what_is_expected(values: Values, message: str) -> None:
    holder, key = place_of(values, message)
    holder[key] = EXPECTED[text_of(r"expected (.*?)[,;] found", message)]


def writes_the_key(values: Values, message: str) -> None:
    assert message.endswith("missing; it is needed")
    holder, key = place_of(values, message)
    holder[key] = 1.0


def puts_it_in_quotes(values: Values, message: str) -> None:
    assert "(in quotes, when it looks like a number)" in message
    holder, key = place_of(values, message)
    holder[key] = str(holder[key])


def keeps_the_bound(values: Values, message: str) -> None:
    bound = text_of(r"must be (above|at least|below|at most) ", message)
    holder, key = place_of(values, message)
    holder[key] = float(text_of(rf"{bound} ([\d.]+)", message))
    holder[key] += {"above": 0.25, "below": -0.25}.get(bound, 0)
    if key in {"seed", "resamples"}:
        holder[key] = int(holder[key])


def gives_one(values: Values, message: str) -> None:
    assert message.endswith("is empty; give at least one")
    holder, key = place_of(values, message)
    holder[key] = {"C": [1.0]} if key == "space" else [1.0]


def names_a_feature(values: Values, message: str) -> list[Values]:
    roles = re.findall(r"\w+", text_of(r"feature under (.*)", message).replace(" or ", " "))
    assert len(roles) == 4
    return [{**values, "columns": {role: ["age"]}} for role in roles]


def keeps_one_role(values: Values, message: str) -> list[Values]:
    name = text_of(r"listed more than once: (\w+); keep one role for each", message)
    roles = [role for role, names in values["columns"].items() if name in names]
    return [{**values, "columns": {role: [name]}} for role in roles]


def takes_such_a_kind_of_split(values: Values, message: str) -> list[Values]:
    kinds = re.findall(
        r"\w+", text_of(r"needs the key `by`: ([^;]*)", message).replace(" or ", " ")
    )
    return [{**values, "split": SPLITS[kind]} for kind in kinds]


def holds_out_later_days(values: Values, message: str) -> None:
    assert message.endswith("hold out later days")
    values["split"] = BY_TIME


def gives_a_range_or_choices(values: Values, message: str) -> list[Values]:
    assert message.partition(";")[0].endswith("{low: …, high: …} or a list of choices")
    spaces: list[Any] = [{"low": 0.1, "high": 1}, [0.1, 1]]
    return [{**values, "search": {"space": {"C": space}}} for space in spaces]


def puts_the_ends_in_order(values: Values, message: str) -> None:
    pattern = r"(?:low \(2\) must be below high|needs low above 0|expected the shortest length)"
    assert re.search(pattern, message)
    if "ngrams" in message:
        values["text"]["ngrams"].sort()
    else:
        values["search"]["space"]["C"] |= {"low": 1, "high": 2}


def takes_a_class_of_that_kind(values: Values, message: str) -> None:
    names = {"classifier": "LogisticRegression", "regressor": "Ridge"}
    name = names[text_of(r"task needs a (\w+)", message)]
    values["estimator"]["class"] = f"sklearn.linear_model.{name}"


def takes_such_a_class(values: Values, message: str) -> None:
    values["estimator"]["class"] = text_of(r"predict_proba, like ([\w.]+)", message)


# What is wrong, and how what is said of it is carried out.
MISTAKES: dict[str, tuple[Values, Callable[[Values, str], list[Values] | None]]] = {
    "a key": ({"sede": 7}, renames_the_key),
    "a task like none": ({"task": "clustering"}, takes_one_that_there_is),
    "a task": ({"task": "binry"}, writes_what_was_meant),
    "a format": ({"data": {"source": "a.csv", "format": "cvs"}}, writes_what_was_meant),
    "a metric": ({"metrics": ["rocauc"]}, writes_what_was_meant),
    "a metric of the gate": ({"gate": {"minimum": {"rocauc": 0.5}}}, renames_the_key),
    "a metric of another task": ({"metrics": ["r2"]}, takes_one_of_them),
    "a minimum of another task": ({"gate": {"minimum": {"r2": 0}}}, takes_one_of_them),
    "a comparison of another task": ({"gate": {"not_worse": {"metric": "r2"}}}, takes_one_of_them),
    "a slice of another task": (
        {"gate": {"slices": [{"column": "plan", "metric": "r2", "minimum": 0}]}},
        takes_one_of_them,
    ),
    "a leak": ({"checks": {"accept_leakage": ["agee"]}}, names_the_feature_that_was_meant),
    "the target": ({"target": "age"}, removes_it_from_the_features),
    "a positive label": ({"task": "multiclass", "positive": 1}, removes_it),
    "a threshold": ({"task": "multiclass", "threshold": 0.4}, removes_it),
    "a sample with a format": ({"data": {"source": "sample:wine", "format": "csv"}}, removes_it),
    "a database with a format": ({"data": {**DATABASE, "format": "csv"}}, removes_it),
    "no sample": ({"data": {"source": "a.csv", "format": "sample"}}, gives_such_a_source),
    "no database": ({"data": {"source": "a.csv", "format": "sql"}}, gives_such_a_source),
    "no query": ({"data": {"source": "sqlite:///a.db"}}, gives_such_a_query),
    "a query": ({"data": {"source": "a.csv", "query": "SELECT 1"}}, removes_it_or_gives_a_url),
    "a password": (
        {"data": {**DATABASE, "source": "postgresql://me:hunter2@db/x"}}, writes_a_variable,
    ),
    "a day": ({"split": {**BY_TIME, "holdout": ["2013-07-32", "2013-12-31"]}}, writes_such_a_value),
    "a class": ({"estimator": {"class": "Ridge"}}, writes_such_a_value),
    "a column": ({"columns": {"numeric": "age"}}, writes_such_a_value),
    "a number for a name": ({"target": 2013}, puts_it_in_quotes),
    "a model's name": ({"name": "my model"}, writes_what_is_expected),
    "a label": ({"positive": [1]}, writes_what_is_expected),
    "a minimum": ({"gate": {"minimum": {"f1": "high"}}}, writes_what_is_expected),
    "a truth": ({"split": {"by": "fraction", "stratify": "maybe"}}, writes_what_is_expected),
    "three lengths": ({"text": {"ngrams": [1, 2, 3]}}, writes_what_is_expected),
    "half a range": ({"search": {"space": {"C": {"low": 0.1}}}}, writes_the_key),
    "a share": ({"split": {"by": "fraction", "holdout": 1}}, keeps_the_bound),
    "a margin": ({"gate": {"not_worse": {"margin": -1.0}}}, keeps_the_bound),
    "a time": ({"gate": {"latency_ms": 0}}, keeps_the_bound),
    "draws": ({"gate": {"resamples": 1}}, keeps_the_bound),
    "a seed": ({"seed": -1}, keeps_the_bound),
    "no choice": ({"search": {"space": {"C": []}}}, gives_one),
    "nothing to search": ({"search": {"space": {}}}, gives_one),
    "no range": ({"search": {"space": {"C": 3}}}, gives_a_range_or_choices),
    "a range upside down": (
        {"search": {"space": {"C": {"low": 2, "high": 1}}}}, puts_the_ends_in_order,
    ),
    "a logarithm of nothing": (
        {"search": {"space": {"C": {"low": 0, "high": 1, "log": True}}}}, puts_the_ends_in_order,
    ),
    "runs of words": ({"text": {"ngrams": [3, 1]}}, puts_the_ends_in_order),
    "no feature": ({"columns": {}}, names_a_feature),
    "two roles": ({"columns": {"numeric": ["age"], "text": ["age"]}}, keeps_one_role),
    "no kind of split": ({"split": {"by": "tme", "column": "day"}}, takes_such_a_kind_of_split),
    "early days": (
        {"split": {**BY_TIME, "holdout": ["2013-05-01", "2013-06-01"]}}, holds_out_later_days,
    ),
    "a regressor": (
        {"estimator": {"class": "sklearn.linear_model.Ridge"}}, takes_a_class_of_that_kind,
    ),
    "a classifier": (
        {"task": "regression",
         "estimator": {"class": "sklearn.linear_model.LogisticRegression"}},
        takes_a_class_of_that_kind,
    ),
    "no probabilities": ({"estimator": {"class": "sklearn.svm.LinearSVC"}}, takes_such_a_class),
    "a class's name": (
        {"estimator": {"class": "sklearn.linear_model.LogistcRegression"}}, writes_what_was_meant,
    ),
    "a class's module": (
        {"estimator": {"class": "sklearn.ensembl.RandomForestClassifier"}}, writes_what_was_meant,
    ),
    "a parameter": (
        {"estimator": {"class": "sklearn.linear_model.Lasso", "params": {"max_itr": 5}},
         "task": "regression"},
        renames_the_key,
    ),
    "a searched parameter": ({"search": {"space": {"max_itr": [50, 100]}}}, renames_the_key),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_advised_about_a_recipe_makes_it_load(mistake, write, values):
    change, mend = MISTAKES[mistake]
    wrong = {**values, **copy.deepcopy(change)}
    message = problem(write(wrong))
    assert re.match(r"\w+", message)[0] in {"columns", *change}

    ways = mend(wrong, message) or [wrong]

    for mended in ways:
        assert load_recipe(write(mended)), message


# A recipe's text, and how what is said of it is carried out: pattern → replacement.
TEXTS = {
    "a key given twice": ("seed: 1\nseed: 2\n", r"the key 'seed' is given twice; keep one",
                          "seed: 1\nseed: 2\n", "seed: 2\n"),
    "a list as a key": ("? [a]\n: 1\n", "a list or mapping cannot be a key",
                        "? [a]\n: 1\n", "seed: 1\n"),
    "an alias": ("metrics: &m [f1]\nslices: *m\n", r"aliases \(\*name\) are not supported",
                 "metrics: &m [f1]\nslices: *m\n", "metrics: [f1]\nslices: [f1]\n"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", TEXTS)
def test_what_is_advised_about_a_text_makes_it_load(mistake, write, values):
    added, said, wrong, mended = TEXTS[mistake]
    text = yaml.safe_dump(values) + added
    assert re.search(said, problem(write(text)))
    assert load_recipe(write(text.replace(wrong, mended)))


@pytest.mark.parametrize("text", ["", "just text"])
def test_keys_and_values_are_written_like_the_example(text, write):
    example = text_of(r"expected keys and values, like `(.*?)`", problem(write(text)))
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(example))
    assert not any(said.startswith("target") for said in caught.value.problems)


@pytest.mark.parametrize("name", ["flight", "reciep.yaml"])
def test_the_recipe_that_was_meant_is_there(name, write, values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(values)
    meant = text_of(r"did you mean '(.*?)'\?", problem(name))
    assert load_recipe(meant).name == {"flights": "flight-delay", "recipe.yaml": "churn"}[meant]


def test_a_folder_holds_the_file_that_is_asked_for(write, values, tmp_path):
    path = write(values)
    assert problem(str(tmp_path)).endswith("name the YAML file")
    assert load_recipe(path)
    assert text_of(r"\((.*?),", problem("nothing-like-it")) in shipped()


@pytest.mark.parametrize(
    ("override", "mended"),
    [
        ("seed", lambda said: text_of(r"like (\S+)", said)),
        ("metrics.0=f1", lambda said: "metrics=[f1]" if "set it as a whole" in said else ""),
    ],
)
def test_an_override_that_is_advised_is_laid_over(override, mended, write, values):
    path = write({**values, "metrics": ["roc_auc"]})
    typed = mended(problem(path, override))
    recipe = load_recipe(path, [typed])
    assert recipe.primary_metric == "f1" or recipe.seed == 7
