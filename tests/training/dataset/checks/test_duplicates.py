"""Copies are told from things that look alike."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.training.dataset.checks.duplicates import (
    Duplicates,
    find_duplicates,
    record_numbers,
    without_copies,
)
from cloche.training.dataset.split import Split


def side(rows):
    return pd.DataFrame(rows, columns=["a", "b", "target"])


def compare(train, holdout):
    return find_duplicates(Split(side(train), side(holdout)), ["a", "b"], "target")


def test_rows_with_other_features_are_not_alike():
    assert compare([(1, "x", 0)], [(1, "y", 0), (2, "x", 0)]) == Duplicates(alike=0, agreeing=0)


def test_a_copy_agrees_in_features_and_target():
    assert compare([(1, "x", 0), (1, "x", 0)], [(1, "x", 0)]) == Duplicates(alike=1, agreeing=1)


@pytest.mark.parametrize("train", [[(1, "x", 1)], [(1, "x", 0), (1, "x", 1)]])
def test_another_target_among_those_alike_is_a_disagreement(train):
    assert compare(train, [(1, "x", 0)]) == Duplicates(alike=1, agreeing=0)


def test_missing_values_are_like_missing_values():
    assert compare([(None, None, 0)], [(None, None, 0)]).agreeing == 1


def test_each_disagreement_explains_some_agreements_by_chance():
    assert Duplicates(alike=100, agreeing=100).copies == 100
    assert Duplicates(alike=100, agreeing=95).copies == 75
    assert Duplicates(alike=100, agreeing=70).copies == 0


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_copies_are_among_those_that_agree(agreeing, disagreeing):
    assert 0 <= Duplicates(agreeing + disagreeing, agreeing).copies <= agreeing


def records(rows=200, seed=0):
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": draw.normal(40, 12, rows).round(1),
            "plan": draw.choice(["free", "gold"], rows),
            "tags": [[str(number % 7)] for number in range(rows)],
            "left": draw.integers(0, 2, rows),
        }
    )


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("numbered", [False, True])
def test_each_record_stays_once(times, numbered):
    frame = records().assign(key=[f"k{number}" for number in range(200)])
    table = pd.concat([frame] * times, ignore_index=True)
    if numbered:
        table.insert(0, "number", range(len(table)))
    table = table.sample(frac=1, random_state=0)
    features = [name for name in table if name != "left"]
    kept = without_copies(table, features, "left")
    assert len(kept) == len(frame)
    assert set(kept["key"]) == set(frame["key"])
    numbers = pd.Series(record_numbers(table, features, "left"))
    assert numbers.nunique() == len(frame)
    assert numbers.max() + 1 == len(frame)


def test_things_that_look_alike_are_all_evidence():
    frame = records(2000)
    for features in ([], ["plan"], ["plan", "tags"]):
        assert len(without_copies(frame, features, "left")) == len(frame)


def test_coarse_rows_are_all_evidence_where_one_column_tells_the_target():
    frame = records(2000)
    frame["leak"] = frame["left"].map({0: "stays", 1: "leaves"})
    assert len(without_copies(frame, ["plan", "leak"], "left")) == len(frame)
