"""Every key of a recipe does something: a changed value changes what is read, fitted or decided."""

import copy
import functools
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, get_args

import mlflow
import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from cloche.training.dataset.checks.checks import check_split, check_table
from cloche.training.dataset.reading.sources import load_table
from cloche.training.dataset.split import split, validation_split
from cloche.training.errors import DataError, TrainingError
from cloche.training.evaluation.predictions import Pairs, Predictions, TargetSpec
from cloche.training.gate import measure
from cloche.training.gate.decision import decide
from cloche.training.gate.holdout import Holdout
from cloche.training.gate.policy import Policy, carried_policy
from cloche.training.gate.probe_process import ProbeResult
from cloche.training.packaging import model
from cloche.training.packaging.skops_trust import trusted_types
from cloche.training.pipeline.fit import fit
from cloche.training.pipeline.search import run_search
from cloche.training.recipe.schema import Recipe
from cloche.training.tracking.run import open_experiment
from cloche.training.train import _accelerate

ROWS = 240
DRAW = np.random.default_rng(5)
FRAME = pd.DataFrame(
    {
        "age": DRAW.normal(40, 12, ROWS),
        "spend": DRAW.gamma(2, 30, ROWS),
        "plan": DRAW.choice(["free", "basic", "gold"], ROWS),
        "region": DRAW.choice(["north", "south"], ROWS, p=[0.8, 0.2]),
        "moment": pd.date_range("2020-01-01", periods=ROWS, freq="35h").astype(str),
        "other_moment": pd.date_range("2021-06-01", periods=ROWS, freq="17h").astype(str),
        "household": np.arange(ROWS) // 4,
        "street": np.arange(ROWS) // 6,
        "remark": [
            " ".join(DRAW.choice(["Late", "late", "fine fine", "thanks", "never again"], 4))
            for _ in range(ROWS)
        ],
        "reply": [" ".join(DRAW.choice(["sorry", "good", "ok"], 3)) for _ in range(ROWS)],
    }
)
LIKELY = 1 / (1 + np.exp(-(FRAME["age"] - 45) / 6 - FRAME["remark"].str.count("Late")))
FRAME["churned"] = (DRAW.random(ROWS) < LIKELY).astype(int)
FRAME["moved"] = (DRAW.random(ROWS) < 0.4).astype(int)
FRAME["told"] = FRAME["churned"] * 2 + 1
LESS = [
    Predictions(
        TargetSpec("binary", (0, 1), 1),
        codes=(chance > 0.5).astype(np.intp),
        probabilities=np.column_stack([1 - chance, chance]),
    )
    for chance in (
        np.clip(LIKELY + DRAW.normal(0, spread, ROWS), 0.01, 0.99) for spread in (0.2, 0.3)
    )
]

BASE: dict[str, Any] = {
    "name": "churn",
    "task": "binary",
    "data": {"source": "churn.csv"},
    "target": "churned",
    "split": {"by": "fraction"},
    "columns": {"numeric": ["age"], "text": ["remark"]},
    "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
    "search": {"trials": 3, "space": {"C": {"low": 0.1, "high": 9.0}}},
    "gate": {"resamples": 100},
}
BY_TIME = {
    "by": "time", "column": "moment", "train": ["2020-01-01", "2020-08-31"],
    "holdout": ["2020-09-01", "2020-12-31"],
}  # fmt: skip
BY_GROUP = {"by": "group", "column": "household"}
FLOOR = {"column": "region", "metric": "roc_auc", "minimum": 0.5, "min_rows": 30}


def rows_read(recipe: Recipe) -> Any:
    try:
        return load_table(recipe.data).frame.to_csv()
    except DataError as error:
        return error.problems


def checked(recipe: Recipe) -> Any:
    """What the checks say of the table, and of one whose holdout is partly learned from."""
    sides = split(FRAME, recipe)
    mixed = sides.holdout.copy()
    mixed.iloc[:6] = sides.train.iloc[:6]
    found = []
    for check in (
        lambda: check_table(FRAME, recipe),
        lambda: check_split(type(sides)(sides.train, mixed), recipe),
    ):
        try:
            found.append(check())
        except DataError as error:
            found.append(error.problems)
    return found


def sides(recipe: Recipe) -> Any:
    parts = split(FRAME, recipe)
    return list(parts.train.index), list(parts.holdout.index)


def predictions(recipe: Recipe) -> Any:
    inputs = FRAME.assign(moment=pd.to_datetime(FRAME["moment"]))
    return fit(recipe, inputs, FRAME[recipe.target]).predict(inputs).to_csv()


def searched(recipe: Recipe) -> Any:
    proposals: list[Any] = []
    run_search(
        recipe, lambda params: float(len(params)), greater_is_better=True,
        on_trial=lambda trial: proposals.append(trial.params),
    )  # fmt: skip
    return proposals, list(validation_split(FRAME, recipe).train.index)


def carried(recipe: Recipe) -> Policy:
    """The policy that a version of the recipe carries."""
    package: Any = SimpleNamespace(
        recipe=recipe,
        target=TargetSpec("binary", (0, 1), 1),
        holdout={"artifact": "a", "digest": "d", "rows": ROWS},
    )
    policy = carried_policy({"cloche": model._policy(package)})
    assert policy is not None
    return policy


def judged(recipe: Recipe) -> Any:
    """The gate's numbers and its decision, by the policy that a version of the recipe carries."""
    policy = carried(recipe)
    ours, theirs = (Pairs.pair(FRAME["churned"], one) for one in LESS)
    records, probed = np.arange(ROWS), measure._Probed(ProbeResult(latency_ms=5.0), ours)
    serving = measure._Probed(ProbeResult(), theirs)
    production: Any = SimpleNamespace(version=SimpleNamespace(version="1"), number_with_stages="1")
    comparison = measure._comparison(policy, production, serving, probed, records)
    measured = measure._measurements(policy, Holdout(FRAME, "", ""), probed, comparison)
    intervals = measure._intervals(policy, ours, records)
    return decide(policy.resolved_gate, measured), intervals, measured.slices


def trusted(recipe: Recipe) -> Any:
    pipeline = make_pipeline(FunctionTransformer(copy.copy), LogisticRegression())
    try:
        return trusted_types(pipeline.fit(FRAME[["age"]], FRAME["churned"]), recipe.estimator)
    except TrainingError as error:
        return str(error)


def twin_tried(recipe: Recipe) -> Any:
    class Tried(Exception):
        """The original was asked for."""

    def original() -> Any:
        raise Tried

    try:
        return _accelerate(recipe, original, FRAME, "", lambda _: None)
    except Tried:
        return "tried"


def experiment(recipe: Recipe) -> Any:
    open_experiment(recipe)
    found = mlflow.get_experiment_by_name(recipe.name)
    return found and (found.name, found.tags)


BY_COLUMN = {"columns": {"categorical": ["plan"]}}
BY_MOMENT = {**BY_TIME, "holdout": ["2020-09-01", "2021-08-31"]}
BY_OTHER_MOMENT = {**BY_TIME, "column": "other_moment", "train": ["2021-06-01", "2021-07-01"],
                   "holdout": ["2021-07-02", "2021-12-31"]}  # fmt: skip
LINES = {"data": {"source": "lines.txt"}}
ORDERS = {"data": {"source": "sqlite:///shop.db", "query": "SELECT * FROM orders"}}
FLOORS = {"gate": {**BASE["gate"], "slices": [FLOOR]}}
# key → what is looked at, another value, and sections in which it can be seen. The value is that of
# the key's first two words, and of a split all of it.
CASES: dict[str, tuple[Any, ...]] = {
    "name": (experiment, "leavers"),
    "description": (experiment, "Who leaves."),
    "task": (checked, "multiclass", {"split": BY_TIME}),
    "data.source": (rows_read, "other.csv"),
    "data.format": (rows_read, "labelled-lines", LINES),
    "data.query": (rows_read, "SELECT a FROM orders", ORDERS),
    "data.options": (rows_read, {"nrows": 1}),
    "target": (predictions, "moved"),
    "positive": (predictions, 0),
    "threshold": (predictions, 0.7),
    "split.FractionSplit.by": (sides, BY_GROUP),
    "split.FractionSplit.holdout": (sides, {"by": "fraction", "holdout": 0.4}),
    "split.FractionSplit.stratify": (sides, {"by": "fraction", "stratify": False}),
    "split.GroupSplit.by": (sides, {"by": "fraction"}, {"split": BY_GROUP}),
    "split.GroupSplit.column": (sides, {**BY_GROUP, "column": "street"}, {"split": BY_GROUP}),
    "split.GroupSplit.holdout": (sides, {**BY_GROUP, "holdout": 0.5}, {"split": BY_GROUP}),
    "split.TimeSplit.by": (sides, {"by": "fraction"}, {"split": BY_TIME}),
    "split.TimeSplit.column": (sides, BY_OTHER_MOMENT, {"split": BY_MOMENT}),
    "split.TimeSplit.train": (
        sides, {**BY_TIME, "train": ["2020-02-01", "2020-08-31"]}, {"split": BY_TIME},
    ),
    "split.TimeSplit.holdout": (
        sides, {**BY_TIME, "holdout": ["2020-10-01", "2020-12-31"]}, {"split": BY_TIME},
    ),
    "columns.numeric": (predictions, ["spend"]),
    "columns.categorical": (predictions, ["region"], BY_COLUMN),
    "columns.text": (predictions, ["reply"]),
    "columns.datetime": (predictions, ["moment"]),
    "text.analyzer": (predictions, "char"),
    "text.ngrams": (predictions, [1, 1]),
    "text.max_features": (predictions, 3),
    "text.min_count": (predictions, 60),
    "text.lowercase": (predictions, False),
    "text.sublinear_tf": (predictions, False),
    "estimator.class": (predictions, "sklearn.tree.DecisionTreeClassifier"),
    "estimator.params": (predictions, {"C": 0.01}),
    "estimator.categories": (predictions, "ordinal", BY_COLUMN),
    "estimator.trusted_types": (trusted, ["copy.copy"]),
    "search.trials": (searched, 2),
    "search.seconds": (searched, 1e-9),
    "search.validation": (searched, 0.5),
    "search.space": (searched, {"C": [1, 2]}),
    "search.space.low": (searched, {"C": {"low": 1.0, "high": 9.0}}),
    "search.space.high": (searched, {"C": {"low": 0.1, "high": 3.0}}),
    "search.space.log": (searched, {"C": {"low": 0.1, "high": 9.0, "log": True}}),
    "slices": (judged, ["plan"]),
    "metrics": (judged, ["f1"]),
    "gate.minimum": (judged, {"f1": 0.5}),
    "gate.not_worse": (judged, None),
    "gate.not_worse.metric": (judged, {"metric": "brier"}),
    "gate.not_worse.margin": (judged, {"margin": 0.3}),
    "gate.not_worse.confidence": (judged, {"confidence": 0.6}),
    "gate.slices.column": (judged, [{**FLOOR, "column": "plan"}], FLOORS),
    "gate.slices.metric": (judged, [{**FLOOR, "metric": "accuracy"}], FLOORS),
    "gate.slices.minimum": (judged, [{**FLOOR, "minimum": 0.99}], FLOORS),
    "gate.slices.min_rows": (judged, [{**FLOOR, "min_rows": 100}], FLOORS),
    "gate.latency_ms": (judged, 1.0),
    "gate.resamples": (judged, 150),
    "rollout": (lambda recipe: carried(recipe).rollout, {"steps": [10]}),
    "checks.accept_leakage": (checked, ["told"], {"columns": {"numeric": ["told"]}}),
    "checks.duplicates": (checked, 0.5),
    "acceleration": (twin_tried, "off"),
    "seed": (sides, 7),
}  # fmt: skip


def keys_of(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key that a section and the sections inside it have, dotted."""
    for name, field in section.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = list(dict.fromkeys(_sections(field.annotation)))
        of_its_own = type(None) in get_args(field.annotation) or path == "search.space"
        if not inner or (of_its_own and path != "search"):
            yield path
        for one in inner:
            yield from keys_of(one, f"{path}." if len(inner) == 1 else f"{path}.{one.__name__}.")


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _sections(one)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The files that the cases name, in the working directory."""
    monkeypatch.chdir(tmp_path)
    orders = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    orders.to_csv("churn.csv", index=False)
    orders.assign(a=9).to_csv("other.csv", index=False)
    (tmp_path / "lines.txt").write_text("good|1\nbad|0\n")
    orders.to_sql("orders", "sqlite:///shop.db", index=False)


def test_every_key_of_a_recipe_has_a_case():
    assert set(keys_of(Recipe)) == set(CASES)


def changed(sections: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The sections of a recipe with another value of a key."""
    section, *inner = key.split(".")
    if inner and section != "split":
        value = {**sections.get(section, {}), inner[0]: value}
    return {**sections, section: value}


@functools.cache
def seen(look: Callable[[Recipe], Any], sections: str) -> Any:
    """What is seen of a recipe's sections, given as JSON; a second look sees the same."""
    recipe = Recipe.model_validate(json.loads(sections))
    found = look(recipe)
    assert look(recipe) == found, "the effect is not repeatable"
    return found


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("key", CASES)
def test_another_value_of_a_key_has_another_effect(key, request):
    look, value, *within = CASES[key]
    if look is experiment:
        request.getfixturevalue("client")
    sections = BASE | (within[0] if within else {})
    before = seen(look, json.dumps(sections))
    assert look(Recipe.model_validate(changed(sections, key, value))) != before
