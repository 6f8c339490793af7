"""Policies: carried by a version, or read from a file with every mistake at once."""

import numpy as np
import pandas as pd
import pytest

from cloche.rollout.plan import Plan
from cloche.training.errors import RecipeError, RegistryError
from cloche.training.evaluation.model_output import read
from cloche.training.gate.policy import Policy, carried_policy, holdout_digest, load_policy
from cloche.training.recipe.criteria.gate import Gate

CARRIED = {
    "schema": 1,
    "task": "binary",
    "target": "late",
    "positive": "yes",
    "classes": ["no", "yes"],
    "metrics": ["roc_auc", "f1"],
    "slices": ["origin"],
    "gate": {
        "minimum": {"log_loss": 0.6},
        "not_worse": {"metric": None, "margin": 0.01, "confidence": 0.9},
        "slices": [{"column": "carrier", "metric": "recall", "minimum": 0.1, "min_rows": 50}],
    },
    "rollout": {"steps": [1, 10]},
    "seed": 7,
    "holdout": {"artifact": "holdout/holdout.parquet", "digest": "abc", "rows": 10},
}

FILE = """
task: binary
target: late
positive: 1
metrics: [roc_auc]
gate:
  minimum: {roc_auc: 0.7}
data:
  source: flights.csv
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "policy.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_a_version_brings_its_policy_along():
    policy = carried_policy({"cloche": CARRIED, "other": 1})
    assert policy.measured_metrics == ("roc_auc", "f1", "log_loss", "recall")
    assert policy.sliced_columns == ("origin", "carrier")
    assert policy.resolved_gate.not_worse.metric == "roc_auc"
    assert policy.confidence == 0.9
    assert policy.rollout == Plan(steps=(1.0, 10.0))
    assert holdout_digest({"cloche": CARRIED}) == "abc"


@pytest.mark.parametrize("metadata", [None, {}, {"team": "ops"}])
def test_a_version_of_somebody_else_has_none(metadata):
    assert carried_policy(metadata) is None
    assert holdout_digest(metadata) is None


def test_keys_of_a_newer_cloche_are_passed_over_but_not_a_newer_schema():
    assert carried_policy({"cloche": {**CARRIED, "colour": "red"}}).seed == 7
    with pytest.raises(RegistryError, match="schema 2, and this Cloche reads 1"):
        carried_policy({"cloche": {**CARRIED, "schema": 2}})


def test_a_carried_policy_that_is_broken_says_where():
    with pytest.raises(RegistryError, match="task"):
        carried_policy({"cloche": {**CARRIED, "task": "magic"}})


def test_a_comparison_that_is_switched_off_stays_off():
    policy = carried_policy({"cloche": {**CARRIED, "gate": {"not_worse": None}}})
    assert policy.resolved_gate == Gate(not_worse=None)
    assert policy.confidence == 0.95


def test_the_target_is_what_the_policy_says_or_what_the_column_holds(holdout):
    policy = carried_policy({"cloche": CARRIED})
    assert policy.target_of(holdout["late"]).positive == "yes"
    found = policy.model_copy(update={"classes": (), "positive": None}).target_of(holdout["late"])
    assert (found.classes, found.positive) == ((0, 1), 1)
    named = policy.model_copy(update={"positive": None}).target_of(holdout["late"])
    assert named.positive == "yes"


def test_a_file_says_the_same_in_yaml(write):
    policy = load_policy(write(FILE))
    assert isinstance(policy, Policy)
    assert policy.data.source == "flights.csv"
    assert policy.gate.minimum == {"roc_auc": 0.7}


def test_a_file_reports_every_mistake_at_once(write):
    text = FILE.replace("task: binary", "task: clustering") + "colour: red\nseed: -1\n"
    with pytest.raises(RecipeError) as error:
        load_policy(write(text))
    assert len(error.value.problems) == 3
    for key in ("task", "colour", "seed"):
        assert any(problem.startswith(key) for problem in error.value.problems)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[roc_auc]", "[mae]"), "'mae' is not defined for a binary task"),
        (("task: binary", "task: [binary"), "policy.yaml"),
    ],
)
def test_what_a_file_must_agree_on(write, change, message):
    with pytest.raises(RecipeError, match=message):
        load_policy(write(FILE.replace(*change)))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"nowhere\.yaml: 1 mistake\n.*cannot be read"):
        load_policy(str(tmp_path / "nowhere.yaml"))


def test_numbers_that_swap_the_labels_of_a_target_are_meant_as_the_policy_says(write):
    swapped = "task: binary\ntarget: y\nlabels: {0: '1', 1: '0'}\ndata: {source: a.csv}\n"
    target = load_policy(write(swapped)).target_of(pd.Series(["0", "1", "1"]))
    assert list(read(np.array([0, 1, 1]), target, rows=3).labels) == ["1", "0", "0"]
    assert list(read(np.array(["0", "1", "1"]), target, rows=3).labels) == ["0", "1", "1"]
