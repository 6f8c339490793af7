"""The numbers are scikit-learn's, and where there is no number it is nan and no warning."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from cloche.training.evaluation.metrics import score, score_all
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Outcome, TargetSpec
from cloche.training.recipe.metric_catalog import METRICS, metrics_for

DIGIT = TargetSpec("binary", (0, 1), 1)
FRUIT = TargetSpec("multiclass", ("apple", "fig", "pear"))


def of_labels(truth, labels):
    return Outcome.of(truth, read(labels, DIGIT, rows=len(labels)))


def of_probabilities(truth, probabilities, target=DIGIT):
    return Outcome.of(truth, read(np.array(probabilities), target, rows=len(probabilities)))


@pytest.mark.parametrize("metric", metrics_for("binary"))
def test_a_binary_metric_is_scikit_learns(metric, binary_outcome):
    outcome = binary_outcome()
    truth, probability = outcome.truth, outcome.predictions.positive_probability()
    labels = probability >= 0.5
    expected = {
        "roc_auc": sk.roc_auc_score(truth, probability),
        "average_precision": sk.average_precision_score(truth, probability),
        "log_loss": sk.log_loss(truth, probability),
        "brier": sk.brier_score_loss(truth, probability),
        "accuracy": sk.accuracy_score(truth, labels),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, labels),
        "f1": sk.f1_score(truth, labels),
        "precision": sk.precision_score(truth, labels),
        "recall": sk.recall_score(truth, labels),
    }
    assert score(metric, outcome) == pytest.approx(expected[metric], rel=1e-12)


def test_the_positive_label_decides_what_precision_and_ranking_are_about():
    probabilities = [[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]
    rare = TargetSpec("binary", ("late", "on time"), "late")
    outcome = of_probabilities(["late", "on time", "on time"], probabilities, rare)
    assert score_all(["roc_auc", "precision", "recall"], outcome) == {
        "roc_auc": 1.0,
        "precision": 0.5,
        "recall": 1.0,
    }


@pytest.mark.parametrize("metric", ["roc_auc", "balanced_accuracy"])
def test_ranking_and_balance_need_two_classes(metric):
    assert math.isnan(score(metric, of_probabilities([1, 1], [0.2, 0.9])))


@pytest.mark.parametrize(
    ("metric", "truth", "labels"),
    [
        ("precision", [0, 1], [0, 0]),
        ("recall", [0, 0], [0, 1]),
        ("f1", [0, 0], [0, 0]),
    ],
)
def test_a_share_of_nothing_is_nan(metric, truth, labels):
    assert math.isnan(score(metric, of_labels(truth, labels)))


def test_average_precision_needs_a_positive_row():
    assert math.isnan(score("average_precision", of_probabilities([0, 0], [0.2, 0.9])))


@pytest.mark.parametrize(
    "metric", [name for name, m in METRICS.items() if m.needs == "probabilities"]
)
def test_a_model_that_gives_labels_only_has_no_metric_of_probabilities(metric):
    assert math.isnan(score(metric, of_labels([0, 1], [0, 1])))


def test_multiclass_metrics_are_macro_averages():
    truth = ["apple", "fig", "pear", "pear"]
    matrix = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.2, 0.7]])
    outcome = of_probabilities(truth, matrix, FRUIT)
    predicted = ["apple", "fig", "fig", "pear"]
    assert score_all(["roc_auc", "f1", "precision", "recall"], outcome) == pytest.approx(
        {
            "roc_auc": sk.roc_auc_score(truth, matrix, multi_class="ovr", average="macro"),
            "f1": sk.f1_score(truth, predicted, average="macro"),
            "precision": sk.precision_score(truth, predicted, average="macro"),
            "recall": sk.recall_score(truth, predicted, average="macro"),
        }
    )


def test_regression_metrics_are_scikit_learns(regression_outcome):
    outcome = regression_outcome()
    truth, values = outcome.truth, outcome.predictions.values
    assert score_all(metrics_for("regression"), outcome) == pytest.approx(
        {
            "r2": sk.r2_score(truth, values),
            "mae": sk.mean_absolute_error(truth, values),
            "rmse": sk.root_mean_squared_error(truth, values),
            "mape": sk.mean_absolute_percentage_error(truth, values),
        }
    )


@pytest.mark.parametrize(("metric", "truth"), [("r2", [2.0, 2.0]), ("mape", [0.0, 1.0])])
def test_a_constant_has_no_r2_and_zero_no_percentage(metric, truth):
    outcome = Outcome.of(truth, read([1.0, 2.0], TargetSpec("regression"), rows=2))
    assert math.isnan(score(metric, outcome))


@pytest.mark.parametrize("metric", METRICS)
def test_no_rows_have_no_metric(metric, binary_outcome, regression_outcome):
    make = binary_outcome if "binary" in METRICS[metric].tasks else regression_outcome
    assert math.isnan(score(metric, make(rows=5).take(np.array([], dtype=int))))
