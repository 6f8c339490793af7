"""The numbers are scikit-learn's, over the classes that are there; or `nan` with its reason."""

from math import isnan, nan

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from cloche.training.evaluation.intervals import intervals
from cloche.training.evaluation.metrics import score, score_all
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Pairs, Predictions, TargetSpec
from cloche.training.evaluation.remarks import remarks, undefined_reasons
from cloche.training.evaluation.slices import slices
from cloche.training.recipe.metric_catalog import METRICS, metrics_for

LABELS = {"text": ("a", "b", "c", "d", "e"), "whole": (3, 5, 7, 11, 13)}
PAIRS = {"text": ("no", "yes"), "boolean": (False, True)}


def predict_pairs(classes, truth, *, task="multiclass", seed=0, only=None):
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
    return Pairs.pair(np.array(classes, dtype=object)[truth], predictions)


def over_classes(pairs):
    """scikit-learn's averages over the classes that the rows have."""
    truth, predictions = pairs.truth, pairs.predictions
    there = sorted(set(truth))
    averaged = {"labels": there, "average": "macro", "zero_division": 0}
    areas = [sk.roc_auc_score(truth == one, predictions.probabilities[:, one]) for one in there
             if len(there) > 1]  # fmt: skip
    recall = sk.recall_score(truth, predictions.codes, **averaged)
    return {
        **of_all(pairs),
        "recall": recall,
        "balanced_accuracy": recall if len(there) > 1 else nan,
        "precision": sk.precision_score(truth, predictions.codes, **averaged),
        "f1": sk.f1_score(truth, predictions.codes, **averaged),
        "roc_auc": np.mean(areas) if areas else nan,
    }


def of_two_classes(pairs):
    """scikit-learn's numbers, or `nan` where the rows do not define one."""
    truth, codes = pairs.truth, pairs.predictions.codes
    positive = pairs.predictions.probabilities[:, 1]
    both, predicted, true = len(set(truth)) == 2, any(codes), any(truth)
    return {
        **of_all(pairs),
        "brier": np.mean((positive - truth) ** 2),
        "roc_auc": sk.roc_auc_score(truth, positive) if both else nan,
        "balanced_accuracy": sk.balanced_accuracy_score(truth, codes) if both else nan,
        "average_precision": sk.average_precision_score(truth, positive) if true else nan,
        "recall": sk.recall_score(truth, codes) if true else nan,
        "precision": sk.precision_score(truth, codes) if predicted else nan,
        "f1": sk.f1_score(truth, codes) if true or predicted else nan,
    }


def of_all(pairs):
    """What does not depend on which classes are there."""
    probabilities = pairs.predictions.probabilities
    classes = range(probabilities.shape[1])
    return {
        "accuracy": np.mean(pairs.truth == pairs.predictions.codes),
        "log_loss": sk.log_loss(pairs.truth, probabilities, labels=[*classes]),
    }


def same(found, expected):
    assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("there", [{0, 1, 2, 3, 4}, {0, 1, 2, 3}, {1, 2, 4}, {0, 4}, {3}])
def test_metrics_of_many_classes_are_those_over_the_classes_that_are_there(kind, there):
    truth = np.random.default_rng(1).choice(sorted(there), 60)
    pairs = predict_pairs(LABELS[kind], truth)
    expected = over_classes(pairs)
    same(score_all(metrics_for("multiclass"), pairs), expected)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("there", [{0, 1}, {0}, {1}])
@pytest.mark.parametrize("only", [None, 0, 1])
def test_metrics_of_two_classes_are_defined_or_have_a_reason(kind, there, only):
    truth = np.random.default_rng(1).choice(sorted(there), 40)
    pairs = predict_pairs(PAIRS[kind], truth, task="binary", only=only)
    expected = of_two_classes(pairs)
    found = score_all(metrics_for("binary"), pairs)
    same(found, expected)
    reasons = undefined_reasons(pairs, found)
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
    pairs = Pairs.pair(truth, Predictions(TargetSpec("regression"), values=values))
    errors = truth - values
    expected = {
        "mae": np.mean(np.abs(errors)),
        "rmse": np.sqrt(np.mean(errors**2)),
        "r2": nan if "r2" in reasons else sk.r2_score(truth, values),
        "mape": nan if "mape" in reasons else np.mean(np.abs(errors) / truth),
    }
    found = score_all(metrics_for("regression"), pairs)
    same(found, expected)
    assert undefined_reasons(pairs, found) == reasons


def told(pairs):
    metrics = metrics_for(pairs.predictions.target.task)
    return list(remarks(pairs, intervals(pairs, metrics, resamples=100, seed=0)))


def test_a_metric_without_a_value_or_an_interval_is_told_with_the_reason():
    nobody = predict_pairs((0, 1), [0] * 20, task="binary", only=0)
    assert "roc_auc is undefined: all rows have the label 0" in told(nobody)
    assert "recall is undefined: no row has the label 1" in told(nobody)
    rare = predict_pairs((0, 1), [0] * 20 + [1], task="binary")
    assert any(one.startswith("roc_auc has no interval: too few rows") for one in told(rare))
    assert told(predict_pairs((0, 1), [0, 1] * 40, task="binary")) == []


def test_a_slice_is_judged_over_its_own_classes_and_says_what_it_does_not_define():
    truth = np.array([0, 1, 2, 3, 4] * 10 + [0, 1] * 10 + [2] * 10)
    pairs = predict_pairs(LABELS["text"], truth)
    column = pd.Series(["all"] * 50 + ["two"] * 20 + ["one"] * 10, name="part")
    parts = {part.value: part for part in slices(column, pairs, ["recall", "roc_auc"])}
    for name, part in parts.items():
        rows = (column == name).to_numpy()
        expected = over_classes(pairs.take(rows))
        same(part.scores, {metric: expected[metric] for metric in ("recall", "roc_auc")})
    assert parts["one"].undefined == {"roc_auc": "all rows have the label 'c'"}
    assert parts["two"].undefined == {}


DIGIT = TargetSpec("binary", (0, 1), 1)


def of_labels(truth, labels):
    return Pairs.pair(truth, read(labels, DIGIT, rows=len(labels)))


def of_probabilities(truth, probabilities, target=DIGIT):
    return Pairs.pair(truth, read(np.array(probabilities), target, rows=len(probabilities)))


def test_the_positive_label_decides_what_precision_and_ranking_are_about():
    probabilities = [[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]
    rare = TargetSpec("binary", ("late", "on time"), "late")
    pairs = of_probabilities(["late", "on time", "on time"], probabilities, rare)
    assert score_all(["roc_auc", "precision", "recall"], pairs) == {
        "roc_auc": 1.0,
        "precision": 0.5,
        "recall": 1.0,
    }


@pytest.mark.parametrize(
    "metric", [name for name, m in METRICS.items() if m.needs == "probabilities"]
)
def test_a_model_that_gives_labels_only_has_no_metric_of_probabilities(metric):
    assert isnan(score(metric, of_labels([0, 1], [0, 1])))


@pytest.mark.parametrize("metric", METRICS)
def test_no_rows_have_no_metric(metric, binary_pairs, regression_pairs):
    make = binary_pairs if "binary" in METRICS[metric].tasks else regression_pairs
    assert isnan(score(metric, make(rows=5).take(np.array([], dtype=int))))
