"""Copies are told from things that look alike."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.training.dataset.copies import Likeness, likeness
from cloche.training.dataset.split import Split


def side(rows):
    return pd.DataFrame(rows, columns=["a", "b", "target"])


def compare(train, holdout):
    return likeness(Split(side(train), side(holdout)), ["a", "b"], "target")


def test_rows_with_other_features_are_not_alike():
    assert compare([(1, "x", 0)], [(1, "y", 0), (2, "x", 0)]) == Likeness(alike=0, agreeing=0)


def test_a_copy_agrees_in_features_and_target():
    assert compare([(1, "x", 0), (1, "x", 0)], [(1, "x", 0)]) == Likeness(alike=1, agreeing=1)


@pytest.mark.parametrize("train", [[(1, "x", 1)], [(1, "x", 0), (1, "x", 1)]])
def test_another_target_among_those_alike_is_a_disagreement(train):
    assert compare(train, [(1, "x", 0)]) == Likeness(alike=1, agreeing=0)


def test_missing_values_are_like_missing_values():
    assert compare([(None, None, 0)], [(None, None, 0)]).agreeing == 1


def test_each_disagreement_explains_some_agreements_by_chance():
    assert Likeness(alike=100, agreeing=100).copies == 100
    assert Likeness(alike=100, agreeing=95).copies == 75
    assert Likeness(alike=100, agreeing=70).copies == 0


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_copies_are_among_those_that_agree(agreeing, disagreeing):
    assert 0 <= Likeness(agreeing + disagreeing, agreeing).copies <= agreeing
