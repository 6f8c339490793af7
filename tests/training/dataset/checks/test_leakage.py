"""Features that give the target away are found; honest ones are left in peace."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.training.dataset.checks.leakage import leaks, near_leaks
from cloche.training.recipe.sections import Columns

ROWS = 100
DRAW = np.random.default_rng(0)
LABELS = pd.Series(DRAW.integers(0, 2, ROWS))
NUMBERS = pd.Series(DRAW.normal(0, 10, ROWS))


def found(feature, truth, task="binary", role="numeric"):
    frame = pd.DataFrame({"feature": feature, "target": truth})
    return leaks(frame, "target", Columns.model_validate({role: ["feature"]}), task).get("feature")


NAMED = LABELS.map({0: "stays", 1: "leaves"})
COUNTS = pd.Series(DRAW.integers(0, 12, ROWS))
CLASSES = pd.Series(DRAW.integers(0, 3, ROWS))


@pytest.mark.parametrize(
    ("feature", "role", "how"),
    [
        (LABELS, "numeric", "is the target"),
        (1 - LABELS, "numeric", "is the target"),
        (NAMED, "categorical", "under other names"),
        (NAMED, "text", "under other names"),
        (LABELS * 3 + DRAW.integers(0, 3, ROWS), "categorical", "each of its values"),
        (LABELS * 10 + DRAW.random(ROWS), "numeric", "a threshold"),
        (-LABELS + DRAW.random(ROWS) / 2, "numeric", "a threshold"),
        (pd.Series(DRAW.random(ROWS)).where(LABELS == 1), "numeric", "is missing just where"),
    ],
)
def test_a_feature_that_tells_two_classes_is_found(feature, role, how):
    assert how in found(feature, LABELS, role=role)


@pytest.mark.parametrize(
    ("feature", "truth", "task", "role", "how"),
    [
        (NUMBERS * -3 + 7, NUMBERS, "regression", "numeric", "another scale"),
        (np.exp(NUMBERS / 10), NUMBERS, "regression", "numeric", "another scale"),
        (COUNTS.map("level {}".format), COUNTS, "regression", "categorical", "target"),
        (
            CLASSES.map({0: 5.0, 1: -5.0, 2: 50.0}) + DRAW.random(ROWS),
            CLASSES, "multiclass", "numeric", "a threshold",
        ),
    ],
)  # fmt: skip
def test_a_feature_that_tells_a_number_or_many_classes_is_found(feature, truth, task, role, how):
    assert how in found(feature, truth, task, role)


@pytest.mark.parametrize(
    ("feature", "role"),
    [
        (DRAW.normal(0, 1, ROWS), "numeric"),
        (DRAW.integers(0, 5, ROWS), "categorical"),
        (np.arange(ROWS), "numeric"),
        ([f"customer {number}" for number in range(ROWS)], "categorical"),
        ([f"comment {number // 2}" for number in range(ROWS)], "text"),
        (LABELS.where(LABELS.index > 0, 1 - LABELS), "numeric"),
        (np.full(ROWS, 3.0), "numeric"),
        (np.full(ROWS, np.nan), "numeric"),
    ],
)
def test_a_feature_that_does_not_tell_everything_is_no_leak(feature, role):
    assert found(feature, LABELS, role=role) is None


def test_the_same_text_may_have_the_same_label():
    text = [f"comment {number // 4}" for number in range(ROWS)]
    labels = [number // 4 % 2 for number in range(ROWS)]
    assert found(text, labels, role="text") is None
    assert found(text, labels, role="categorical") is not None


@given(st.lists(st.integers(0, 1), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_a_handful_of_rows_proves_nothing(labels, draw):
    feature = [label + draw.random() / 2 for label in labels]
    assert found(feature, labels) is None


def test_a_number_that_almost_separates_is_told_with_its_strength():
    feature = LABELS + DRAW.random(ROWS) / 2
    feature.iloc[0] = 3.0 if LABELS.iloc[0] == 0 else -3.0
    frame = pd.DataFrame({"feature": feature, "noise": DRAW.random(ROWS), "target": LABELS})
    many = pd.concat([frame] * 20 + [frame.assign(feature=LABELS)] * 980)
    near = near_leaks(many, "target", Columns(numeric=("feature", "noise")), "binary")
    assert list(near) == ["feature"]
    assert 0.999 <= near["feature"] < 1


def test_a_number_that_almost_follows_a_number_is_told():
    frame = pd.DataFrame({"target": np.arange(1000.0), "feature": np.arange(1000.0)})
    frame.loc[0, "feature"] = 5.5
    columns = Columns(numeric=("feature",))
    assert leaks(frame, "target", columns, "regression") == {}
    assert list(near_leaks(frame, "target", columns, "regression")) == ["feature"]
    assert near_leaks(frame % 3, "target", columns, "multiclass") == {}
