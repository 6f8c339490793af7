"""Holdouts that lack something: right values over what is there, or `nan` with its reason.

The right values are computed here from the definitions, class by class.
"""

from math import isnan, log, nan

import numpy as np
import pandas as pd
import pytest

from cloche.training.evaluation.intervals import intervals
from cloche.training.evaluation.metrics import score_all
from cloche.training.evaluation.predictions import Outcome, Predictions, TargetSpec
from cloche.training.evaluation.remarks import remarks, undefined
from cloche.training.evaluation.slices import slices
from cloche.training.evaluation.weighted_metrics import prepare
from cloche.training.recipe.metric_catalog import metrics_for

LABELS = {
    "text": ("a", "b", "c", "d", "e"),
    "whole": (3, 5, 7, 11, 13),
    "numbered text": ("0", "1", "2", "3", "4"),
}
PAIRS = {"text": ("no", "yes"), "whole": (0, 1), "boolean": (False, True)}


def outcome_of(classes, truth, *, task="multiclass", seed=0, only=None):
    """Random probabilities for rows of the given codes; `only` is the one predicted code."""
    size = len(classes)
    matrix = np.random.default_rng(seed).dirichlet(np.ones(size), len(truth))
    codes = matrix.argmax(axis=1)
    if only is not None:
        codes = np.full(len(truth), only)
    positive = classes[-1] if task == "binary" else None
    predictions = Predictions(
        TargetSpec(task, classes, positive), codes=codes.astype(np.intp), probabilities=matrix
    )
    return Outcome.of(np.array(classes, dtype=object)[truth], predictions)


def ratio(over, under):
    return over / under if under else nan


def area(positive, scores):
    """The share of pairs of a positive and a negative row that are in order; ties count half."""
    ahead = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in scores[positive]
        for low in scores[~positive]
    ]
    return ratio(sum(ahead), len(ahead))


def one_class(outcome, code):
    """Recall, precision, F1 and ROC AUC of one class against the rest."""
    truth, predicted = outcome.truth == code, outcome.predictions.codes == code
    hits = int((truth & predicted).sum())
    return {
        "recall": ratio(hits, truth.sum()),
        "precision": ratio(hits, predicted.sum()),
        "f1": ratio(2 * hits, truth.sum() + predicted.sum()),
        "roc_auc": area(truth, outcome.predictions.probabilities[:, code]),
    }


def over_classes(outcome):
    """Macro averages over the classes that the rows have; one never predicted has precision 0."""
    of_each = [one_class(outcome, code) for code in sorted(set(outcome.truth))]
    means = {
        name: float(np.mean([0.0 if isnan(one[name]) else one[name] for one in of_each]))
        for name in of_each[0]
    }
    if len(of_each) < 2:
        means["roc_auc"] = nan
    return means


def of_all(outcome):
    """What does not depend on which classes are there."""
    truth, probabilities = outcome.truth, outcome.predictions.probabilities
    likelihoods = [probabilities[row, code] for row, code in enumerate(truth)]
    return {
        "accuracy": float(np.mean(truth == outcome.predictions.codes)),
        "log_loss": -sum(map(log, likelihoods)) / len(truth),
    }


def same(found, expected):
    assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("there", [{0, 1, 2, 3, 4}, {0, 1, 2, 3}, {1, 2, 4}, {0, 4}, {3}])
def test_metrics_of_many_classes_are_those_over_the_classes_that_are_there(kind, there):
    truth = np.random.default_rng(1).choice(sorted(there), 60)
    outcome = outcome_of(LABELS[kind], truth)
    expected = {**of_all(outcome), **over_classes(outcome)}
    expected["balanced_accuracy"] = expected["recall"] if len(there) > 1 else nan
    found = score_all(metrics_for("multiclass"), outcome)
    same(found, expected)
    same({name: prepare(name, outcome)(np.ones(60)) for name in found}, expected)
    drawn = np.random.default_rng(2).integers(0, 3, 60).astype(float)
    again = outcome.take(np.repeat(np.arange(60), drawn.astype(int)))
    same({name: prepare(name, outcome)(drawn) for name in found}, score_all(list(found), again))


def test_recall_is_the_balanced_accuracy_whatever_is_absent():
    outcome = outcome_of(LABELS["text"], [0, 1, 2, 3] * 20)
    found = score_all(["recall", "balanced_accuracy"], outcome)
    assert found["recall"] == pytest.approx(found["balanced_accuracy"])


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("there", [{0, 1}, {0}, {1}])
@pytest.mark.parametrize("only", [None, 0, 1])
def test_metrics_of_two_classes_are_defined_or_have_a_reason(kind, there, only):
    truth = np.random.default_rng(1).choice(sorted(there), 40)
    outcome = outcome_of(PAIRS[kind], truth, task="binary", only=only)
    positive = outcome.predictions.probabilities[:, 1]
    expected = {**of_all(outcome), **one_class(outcome, 1)}
    expected["brier"] = float(np.mean((positive - outcome.truth) ** 2))
    expected["balanced_accuracy"] = (
        np.mean([one_class(outcome, code)["recall"] for code in (0, 1)]) if len(there) == 2 else nan
    )
    order = np.argsort(-positive)
    hits = np.cumsum(outcome.truth[order])
    expected["average_precision"] = ratio(
        sum((hits / np.arange(1, 41))[outcome.truth[order] == 1]), hits[-1]
    )
    found = score_all(metrics_for("binary"), outcome)
    same(found, expected)
    same({name: prepare(name, outcome)(np.ones(40)) for name in found}, expected)
    reasons = undefined(outcome, found)
    assert set(reasons) == {name for name, value in expected.items() if isnan(value)}
    for name, reason in reasons.items():
        label = repr(
            PAIRS[kind][0]
            if name in {"roc_auc", "balanced_accuracy"} and there == {0}
            else PAIRS[kind][1]
        )
        assert label in reason, (name, reason)


@pytest.mark.parametrize(
    ("truth", "reasons"),
    [
        ([1.0, 2.0, 4.0], {}),
        ([2.0, 2.0, 2.0], {"r2": "the target has one value in all rows"}),
        ([0.0, 2.0, 0.0], {"mape": "the target is 0 in 2 rows"}),
        (
            [0.0, 0.0, 0.0],
            {"r2": "the target has one value in all rows", "mape": "the target is 0 in 3 rows"},
        ),
    ],
)
def test_metrics_of_numbers_are_defined_or_have_a_reason(truth, reasons):
    truth, values = np.array(truth), np.array([1.5, 2.0, 3.0])
    outcome = Outcome.of(truth, Predictions(TargetSpec("regression"), values=values))
    errors = truth - values
    expected = {
        "mae": np.mean(np.abs(errors)),
        "rmse": np.sqrt(np.mean(errors**2)),
        "r2": 1 - ratio((errors**2).sum(), ((truth - truth.mean()) ** 2).sum()),
        "mape": nan if "mape" in reasons else np.mean(np.abs(errors) / truth),
    }
    found = score_all(metrics_for("regression"), outcome)
    same(found, expected)
    assert undefined(outcome, found) == reasons


def told(outcome):
    metrics = metrics_for(outcome.predictions.target.task)
    return list(remarks(outcome, intervals(outcome, metrics, resamples=100, seed=0)))


def test_the_class_that_a_holdout_lacks_is_told():
    outcome = outcome_of(LABELS["text"], [0, 1, 2, 3] * 20)
    assert told(outcome) == [
        "no row of the holdout has the label 'e'; averages over the classes are those over the "
        "others"
    ]
    found = intervals(outcome, ["roc_auc", "recall"], resamples=100, seed=0)
    assert all(one.low < one.value < one.high for one in found.values())


def test_a_metric_without_a_value_or_an_interval_is_told_with_the_reason():
    nobody = outcome_of((0, 1), [0] * 20, task="binary", only=0)
    assert "roc_auc is undefined: all rows have the label 0" in told(nobody)
    assert "recall is undefined: no row has the label 1" in told(nobody)
    rare = outcome_of((0, 1), [0] * 20 + [1], task="binary")
    assert any(one.startswith("roc_auc has no interval: too few rows") for one in told(rare))
    assert told(outcome_of((0, 1), [0, 1] * 40, task="binary")) == []


def test_a_slice_is_judged_over_its_own_classes_and_says_what_it_does_not_define():
    truth = np.array([0, 1, 2, 3, 4] * 10 + [0, 1] * 10 + [2] * 10)
    outcome = outcome_of(LABELS["text"], truth)
    column = pd.Series(["all"] * 50 + ["two"] * 20 + ["one"] * 10, name="part")
    parts = {part.value: part for part in slices(column, outcome, ["recall", "roc_auc"])}
    for name, part in parts.items():
        rows = (column == name).to_numpy()
        expected = over_classes(outcome.take(rows))
        same(part.scores, {metric: expected[metric] for metric in ("recall", "roc_auc")})
    assert parts["one"].undefined == {"roc_auc": "all rows have the label 'c'"}
    assert parts["two"].undefined == {}
