"""The quick forms give the definition's numbers, for any scores, ties, weights and classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.training.evaluation.metrics import score
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Outcome, Predictions, TargetSpec
from cloche.training.evaluation.weighted_metrics import prepare
from cloche.training.recipe.metric_catalog import METRICS, metrics_for

ROWS = st.integers(1, 40)
COUNTS = st.integers(0, 3)


@st.composite
def classifications(draw, classes):
    """Outcomes with coarse probabilities, so that ties are common, and many weights of zero."""
    rows = draw(ROWS)
    size = len(classes)
    grid = draw(st.lists(st.integers(0, 4), min_size=rows * size, max_size=rows * size))
    matrix = np.array(grid, dtype=float).reshape(rows, size) + 0.25
    codes = st.integers(0, size - 1)
    truth = draw(st.lists(codes, min_size=rows, max_size=rows))
    labels = draw(st.lists(codes, min_size=rows, max_size=rows))
    target = TargetSpec(
        "binary" if size == 2 else "multiclass", classes, classes[0] if size == 2 else None
    )
    predictions = Predictions(
        target,
        codes=np.array(labels, dtype=np.intp),
        probabilities=matrix / matrix.sum(axis=1, keepdims=True),
    )
    weights = draw(st.lists(COUNTS, min_size=rows, max_size=rows))
    return Outcome(np.array(truth, dtype=np.intp), predictions), np.array(weights, dtype=float)


@st.composite
def regressions(draw):
    rows = draw(ROWS)
    numbers = st.lists(st.integers(-5, 5), min_size=rows, max_size=rows)
    truth, values = np.array(draw(numbers), float), np.array(draw(numbers), float)
    weights = np.array(draw(st.lists(COUNTS, min_size=rows, max_size=rows)), float)
    return Outcome.of(truth, read(values, TargetSpec("regression"), rows=rows)), weights


def same(metric, outcome, weights):
    drawn = outcome.take(np.repeat(np.arange(len(outcome)), weights.astype(int)))
    np.testing.assert_allclose(
        prepare(metric, outcome)(weights), score(metric, drawn), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("metric", metrics_for("binary"))
@given(drawn=classifications(("no", "yes")))
def test_a_binary_metric_is_the_same_by_either_way(metric, drawn):
    same(metric, *drawn)


@pytest.mark.parametrize("metric", metrics_for("multiclass"))
@given(drawn=classifications(("a", "b", "c")))
def test_a_multiclass_metric_is_the_same_by_either_way(metric, drawn):
    same(metric, *drawn)


@pytest.mark.parametrize("metric", metrics_for("regression"))
@given(drawn=regressions())
def test_a_regression_metric_is_the_same_by_either_way(metric, drawn):
    same(metric, *drawn)


def test_every_metric_of_the_vocabulary_has_a_quick_form(binary_outcome, regression_outcome):
    for metric, facts in METRICS.items():
        outcome = (binary_outcome if "binary" in facts.tasks else regression_outcome)(rows=50)
        assert prepare(metric, outcome)(np.ones(50)) == pytest.approx(score(metric, outcome))


def test_labels_alone_have_no_weighted_ranking():
    outcome = Outcome.of([0, 1], read([0, 1], TargetSpec("binary", (0, 1), 1), rows=2))
    assert np.isnan(prepare("roc_auc", outcome)(np.ones(2)))
