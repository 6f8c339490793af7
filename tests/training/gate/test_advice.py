"""What is advised about a policy is written into it, and the gate then has what it needs."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import Model
from mlflow.models.signature import ModelSignature
from mlflow.types import Schema, TensorSpec

from cloche.training.errors import ClocheError, RecipeError
from cloche.training.evaluation.model_output import read as read_output
from cloche.training.gate.fetched_version import fetch
from cloche.training.gate.holdout import fetch_holdout
from cloche.training.gate.model_probe import model_rows
from cloche.training.gate.policy import Policy, carried_policy, load_policy
from cloche.training.promotion.evaluate_candidate import _policy, chosen_version
from cloche.training.promotion.promotion_request import PromotionRequest
from cloche.training.promotion.registry import find_model, find_version
from tests.advice import text_of
from tests.training.conftest import FEATURES

Values = dict[str, Any]
VALUES: Values = {"task": "binary", "target": "late", "data": {"source": "rows.csv"}}


@pytest.fixture
def write(tmp_path, monkeypatch, holdout) -> Callable[[Values], str]:
    """Writes a policy beside the table that it names; returns its path."""
    monkeypatch.chdir(tmp_path)
    holdout.to_csv("rows.csv", index=False)

    def to_file(values: Values) -> str:
        (tmp_path / "policy.yaml").write_text(yaml.safe_dump(values))
        return "policy.yaml"

    return to_file


def problem(run: Callable[[], object]) -> str:
    """Why something cannot be done."""
    with pytest.raises(ClocheError) as caught:
        run()
    return str(getattr(caught.value, "problems", (caught.value,))[0])


def without(values: Values, key: str) -> Values:
    return {name: value for name, value in values.items() if name != key}


MISTAKES: dict[str, tuple[Values, Callable[[Values, str], Values]]] = {
    "no table": (
        without(VALUES, "data"),
        lambda values, said: {
            **values, **yaml.safe_load(text_of(r"like: (.*)", said).replace("…", "rows.csv"))
        },
    ),
    "the table under another key": (
        {**without(VALUES, "data"), "holdout": {"source": "rows.csv"}},
        lambda values, said: {
            **without(values, "holdout"), text_of(r"table under (\w+) instead", said):
                values["holdout"],
        },
    ),
    "labels of a regression": (
        {**VALUES, "task": "regression", "labels": {0: 1}},
        lambda values, said: without(values, text_of(r"(labels): .*; remove them$", said)),
    ),
    "the target among the features": (
        {**VALUES, "features": ["hour", "late"]},
        lambda values, said: {
            **values, "features": [one for one in values["features"]
                                   if one != text_of(r"'(\w+)' is the target; remove it$", said)],
        },
    ),
    "a key": (
        {**VALUES, "metric": ["f1"]},
        lambda values, said: {
            **without(values, "metric"), text_of(r"did you mean '(\w+)'", said): ["f1"]
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_advised_about_a_policy_makes_it_load(mistake, write):
    wrong, mend = MISTAKES[mistake]
    with pytest.raises(RecipeError) as caught:
        load_policy(write(wrong))
    (said,) = caught.value.problems
    assert load_policy(write(mend(wrong, re.sub(r" \(line \d+\)", "", said))))


@pytest.fixture
def candidate(client, log_version, tmp_path):
    """(**of log_version) → a fetched version."""

    def make(**options):
        folder = tmp_path / "fetched"
        folder.mkdir()
        return fetch(find_version(client, "flight-delay", log_version(**options)), folder)

    return make


# What a version carries, and whom the file helps: the policy, or the holdout.
CARRIED = {
    "nothing": {"by_cloche": False},
    "what a newer Cloche wrote": {"metadata": {"cloche": {"schema": 99}}, "by_cloche": False},
    "what nobody can read": {"metadata": {"cloche": {"schema": 1}}, "by_cloche": False},
}


@pytest.mark.parametrize("carried", CARRIED)
def test_a_version_without_criteria_is_judged_by_those_of_a_file(
    carried, candidate, client, write, holdout
):
    version = candidate(**CARRIED[carried])
    said = problem(lambda: _policy(version, PromotionRequest()))
    option = text_of(r"(--policy) FILE", said)

    policy = _policy(version, PromotionRequest(**{option.strip("-"): write(VALUES)}))

    assert fetch_holdout(client, policy, None).frame.equals(holdout)


@pytest.mark.parametrize("lost", ["the run", "its file"])
def test_a_version_whose_holdout_is_gone_is_judged_on_that_of_a_file(
    lost, candidate, client, write, holdout
):
    version = candidate()
    policy = carried_policy(version.model.metadata)
    run_id = version.version.run_id if lost == "its file" else None
    nowhere = policy.holdout.model_copy(update={"artifact": "holdout/lost.parquet"})
    said = problem(
        lambda: fetch_holdout(client, policy.model_copy(update={"holdout": nowhere}), run_id)
    )
    assert "give criteria and data with --policy FILE" in said

    again = _policy(version, PromotionRequest(policy=write(VALUES)))

    assert fetch_holdout(client, again, run_id).frame.equals(holdout)


def test_without_a_challenger_the_version_that_is_named_is_judged(client, log_version):
    number = log_version(challenger=False)
    model = find_model(client, "flight-delay")
    option = text_of(
        r"name a version: --(version) N", problem(lambda: chosen_version(model, PromotionRequest()))
    )
    assert chosen_version(model, PromotionRequest(**{option: number})) == number


SPECIES = pd.Series(["virginica", "setosa", "versicolor", "setosa"])


def test_labels_are_meant_as_the_policy_says_them_in_the_form_that_is_advised(write):
    values: Values = {"task": "multiclass", "target": "species", "data": {"source": "a.csv"}}
    names = {0: "setosa", 1: "versicolor", 2: "virginica"}

    def labels(policy: Policy) -> list[str]:
        target = policy.target_of(SPECIES)
        return list(read_output(np.array([2, 0, 1, 1]), target, rows=4).labels)

    said = problem(lambda: labels(load_policy(write(values))))
    ((key, written),) = yaml.safe_load(
        text_of(r"like (labels: .*)", said).replace(", …", "")
    ).items()
    assert set(written) <= set(names)
    policy = load_policy(write({**values, key: names}))
    assert labels(policy) == ["virginica", "setosa", "versicolor", "versicolor"]

    wrong = load_policy(write({**values, key: {**names, 2: "virginca"}}))
    known = text_of(r"and the target has (.*)", problem(lambda: labels(wrong)))
    assert "virginica" in known


def test_the_output_that_is_advised_is_the_prediction(write):
    values = {**VALUES, "task": "regression"}
    outputs = {"lower": np.zeros(3), "upper": np.ones(3)}

    def answers(policy: Policy) -> list[float]:
        return list(read_output(outputs, target, rows=3, name=policy.output).values)

    policy = load_policy(write(values))
    target = policy.target_of(pd.Series([0.0, 1.0, 2.0]))
    said = problem(lambda: answers(policy))
    advised = yaml.safe_load(text_of(r"policy, like: (output: \w+)", said))
    assert answers(load_policy(write({**values, **advised}))) == [1, 1, 1]
    named = text_of(r"name one '(\w+)'", said)
    outputs[named] = outputs.pop("lower")
    assert answers(policy) == [0, 0, 0]


def test_the_features_that_are_advised_make_the_tensor(write, holdout):
    model = Model(signature=ModelSignature(Schema([TensorSpec(np.dtype("float64"), (-1, 3))])))
    rows = holdout.select_dtypes("number").assign(another=1.0)

    def given(policy: Policy) -> Any:
        return model_rows(rows, model, "late", list(policy.features))

    said = problem(lambda: given(load_policy(write(VALUES))))
    key = text_of(r"name what it takes in the policy: (\w+)$", said)
    assert np.shape(given(load_policy(write({**VALUES, key: FEATURES})))) == (600, 3)


def test_the_feature_that_was_meant_is_in_the_table(write, client):
    wrong = load_policy(write({**VALUES, "features": ["houre"]}))
    meant = text_of(r"did you mean '(\w+)'", problem(lambda: fetch_holdout(client, wrong, None)))
    assert fetch_holdout(client, load_policy(write({**VALUES, "features": [meant]})), None)


def test_rows_with_a_target_are_added(write, client, holdout):
    policy = load_policy(write(VALUES))
    holdout.assign(late=None).to_csv("rows.csv", index=False)
    assert problem(lambda: fetch_holdout(client, policy, None)).endswith("to judge on; add some")
    holdout.to_csv("rows.csv", index=False)
    assert len(fetch_holdout(client, policy, None).frame) == len(holdout)
