"""The search starts from the recipe, stays in its space and keeps to its budget."""

import re
import sys
from math import nan
from typing import Any

import pytest

from cloche.training.errors import TrainingError
from cloche.training.pipeline.search import Trial, run_search, trials_frame

SPACE = {
    "depth": {"low": 1, "high": 9},
    "rate": {"low": 0.001, "high": 1.0, "log": True},
    "loss": ["a", "b"],
}


def collect(
    recipe: Any, judge: Any, *, greater_is_better: bool = True
) -> tuple[Trial, list[Trial]]:
    trials: list[Trial] = []
    best = run_search(recipe, judge, greater_is_better=greater_is_better, on_trial=trials.append)
    return best, trials


def test_the_first_trial_is_the_recipe_itself(make_recipe):
    recipe = make_recipe(search={"trials": 3, "space": SPACE})
    _, trials = collect(recipe, lambda params: float(len(params)))
    assert trials[0].params == {}
    assert [trial.number for trial in trials] == [0, 1, 2]


def test_every_proposal_lies_in_the_space(make_recipe):
    recipe = make_recipe(search={"trials": 20, "space": SPACE})

    _, trials = collect(recipe, lambda params: params.get("rate", 0.0))

    for trial in trials[1:]:
        assert isinstance(trial.params["depth"], int)
        assert 1 <= trial.params["depth"] <= 9
        assert 0.001 <= trial.params["rate"] <= 1.0
        assert trial.params["loss"] in ("a", "b")


@pytest.mark.parametrize("greater_is_better", [True, False])
def test_the_best_trial_wins_whichever_way_the_metric_points(make_recipe, greater_is_better):
    recipe = make_recipe(search={"trials": 6, "space": SPACE})
    pick = max if greater_is_better else min

    best, trials = collect(
        recipe, lambda params: params.get("rate", 0.5), greater_is_better=greater_is_better
    )

    assert best.score == pick(trial.score for trial in trials)


@pytest.mark.parametrize("greater_is_better", [True, False])
def test_a_trial_without_a_score_never_wins(make_recipe, greater_is_better):
    recipe = make_recipe(search={"trials": 4, "space": SPACE})
    scores = iter([nan, 0.5, nan, 0.7])

    best, trials = collect(recipe, lambda _: next(scores), greater_is_better=greater_is_better)

    assert len(trials) == 4
    assert best.score == (0.7 if greater_is_better else 0.5)


def test_another_metric_or_no_search_at_all_is_what_helps(make_recipe, monkeypatch):
    given = {"metrics": ["roc_auc"], "search": {"trials": 2, "space": SPACE}}

    def judged(recipe: Any) -> float:
        return nan if recipe.primary_metric == "roc_auc" else 0.5

    recipe = make_recipe(**given)
    with pytest.raises(TrainingError, match="do not define roc_auc") as refusal:
        collect(recipe, lambda _: judged(recipe))
    key = re.search(r"take another metric or a larger (\S+)$", str(refusal.value))[1]
    section, name = key.split(".")
    larger = make_recipe(**{**given, section: {**given[section], name: 0.5}})
    assert larger.search.validation > recipe.search.validation
    another = make_recipe(**{**given, "metrics": ["f1"]})
    assert collect(another, lambda _: judged(another))[0].score == 0.5

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TrainingError) as missing:
        collect(another, lambda _: 0.5)
    section = re.search(r"or remove the recipe's (\w+) section$", str(missing.value))[1]
    del given[section]
    assert make_recipe(**given).search is None


def test_the_table_of_trials_has_a_row_for_each(make_recipe):
    recipe = make_recipe(search={"trials": 3, "space": SPACE})
    table = trials_frame(collect(recipe, lambda _: 0.0)[1])
    assert list(table.columns) == ["trial", "score", "seconds", "depth", "rate", "loss"]
    assert len(table) == 3
