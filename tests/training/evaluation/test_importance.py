"""Permutation importance, with a clock of the test's own."""

from itertools import count

import numpy as np
import pandas as pd
import pytest

from cloche.training.evaluation.evaluate import Pairs, TargetSpec
from cloche.training.evaluation.importance import (
    REPEATS,
    SECONDS,
    feature_importance,
    unmeasured_note,
)
from cloche.training.evaluation.model_output import read

ROWS, COLUMNS = 300, 50


def measured(*, seconds_each: float = 0.0, seed: int = 0) -> tuple[pd.DataFrame, list[str]]:
    """The importance for a model that looks at the columns `c0` and `c1` alone, and what was said.

    Args:
        seconds_each: how far the clock goes on from one shuffle to the next.
        seed: of the order and the shuffles.
    """
    features = pd.DataFrame(
        np.random.default_rng(1).normal(size=(ROWS, COLUMNS)),
        columns=[f"c{at}" for at in range(COLUMNS)],
        index=range(7, ROWS + 7),
    )
    target, said, ticks = TargetSpec("regression"), [], count()

    def judge(rows: pd.DataFrame, truth: np.ndarray) -> Pairs:
        return Pairs.pair(truth, read((3 * rows["c0"] + rows["c1"]).to_numpy(), target, rows=ROWS))

    found = feature_importance(
        features, (3 * features["c0"] + features["c1"]).to_numpy(), metric="rmse", judge=judge,
        seed=seed, say=said.append, clock=lambda: next(ticks) * seconds_each,
    )  # fmt: skip
    return found, said


def test_what_the_model_looks_at_comes_first_and_the_rest_counts_nothing():
    found, said = measured()

    assert found["feature"].tolist()[:2] == ["c0", "c1"]
    assert found["mean"][0] > 2 * found["mean"][1] > 0
    assert (found["mean"][2:] == 0).all()
    assert (found["repeats"] == REPEATS).all()
    assert unmeasured_note(found) is None
    assert said == []


def test_when_the_time_is_up_a_random_sample_of_the_columns_was_judged():
    found, said = measured(seconds_each=SECONDS / 20)

    judged = found[found["repeats"] > 0]
    assert 10 < len(judged) < 25
    assert sorted(judged["feature"]) != sorted(f"c{at}" for at in range(len(judged)))
    assert found["mean"][len(judged) :].isna().all()
    assert f"{len(judged)} of 50 columns was measured within 30 s" in str(unmeasured_note(found))
    assert len(said) == 2
    assert "round 1 of 3" in said[0]
    assert "of 50 columns" in said[0]


def test_a_faster_machine_judges_more_columns_and_none_otherwise():
    slow, _ = measured(seconds_each=SECONDS / 20)
    fast, _ = measured(seconds_each=SECONDS / 40)

    both = slow.merge(fast, on="feature", suffixes=("_slow", "_fast"))
    once = both[both["repeats_slow"] == 1]
    assert len(once) > 10
    assert (once["mean_slow"] == once["mean_fast"]).all()


@pytest.mark.parametrize("rounds", [1.5, 2.5])
def test_the_most_important_columns_are_shuffled_again_first(rounds):
    found, _ = measured(seconds_each=SECONDS / (COLUMNS * rounds))
    assert found["repeats"][0] == int(rounds) + 1
    assert found["repeats"].min() == int(rounds)
    assert unmeasured_note(found) is None
