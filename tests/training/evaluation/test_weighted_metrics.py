"""The quick forms give the definition's numbers, for any scores, ties, weights and classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.training.evaluation.metrics import score
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Pairs, Predictions, TargetSpec
from cloche.training.evaluation.weighted_metrics import prepare
from cloche.training.recipe.metric_catalog import metrics_for

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
    return Pairs(np.array(truth, dtype=np.intp), predictions), np.array(weights, dtype=float)


@st.composite
def regressions(draw):
    rows = draw(ROWS)
    numbers = st.lists(st.integers(-5, 5), min_size=rows, max_size=rows)
    truth, values = np.array(draw(numbers), float), np.array(draw(numbers), float)
    weights = np.array(draw(st.lists(COUNTS, min_size=rows, max_size=rows)), float)
    return Pairs.pair(truth, read(values, TargetSpec("regression"), rows=rows)), weights


@pytest.mark.parametrize(
    "pairs_and_weights",
    [classifications(("no", "yes")), classifications(("a", "b", "c")), regressions()],
    ids=["binary", "multiclass", "regression"],
)
@given(data=st.data())
def test_metrics_are_the_same_by_either_way(pairs_and_weights, data):
    pairs, weights = data.draw(pairs_and_weights)
    drawn = pairs.take(np.repeat(np.arange(len(pairs)), weights.astype(int)))
    for metric in metrics_for(pairs.predictions.target.task):
        np.testing.assert_allclose(
            prepare(metric, pairs)(weights), score(metric, drawn),
            rtol=1e-9, atol=1e-12, err_msg=metric,
        )  # fmt: skip


def test_labels_alone_have_no_weighted_ranking():
    pairs = Pairs.pair([0, 1], read([0, 1], TargetSpec("binary", (0, 1), 1), rows=2))
    assert np.isnan(prepare("roc_auc", pairs)(np.ones(2)))
