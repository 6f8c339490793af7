"""Limits keep to the budget on what is usual, and are passed by what is not."""

import numpy as np
import pytest

from cloche.training.monitor.limits import CHECKS, QUARTER, RARE, Measured, rare_value, usual_of


def windows(count: int, spread: float, seed: int = 0) -> list[Measured]:
    """Days whose metric lies around 0.7, by `spread` times the error of its rows."""
    values = np.random.default_rng(seed).normal(0.7, 0.02 * spread, count)
    return [Measured(float(value), 0.02) for value in values]


@pytest.mark.parametrize("spread", [1.0, 5.0])
def test_usual_quarters_raise_as_many_alarms_as_the_budget_has_however_far_days_lie_apart(
    spread: float,
):
    raised = 0
    for seed in range(40):
        usual = usual_of(windows(60, spread, seed), days=1)
        assert usual is not None
        quarter = windows(QUARTER, spread, 1_000 + seed)
        raised += sum(usual.excess(one, rare=RARE) > 1 for one in quarter)

    assert raised <= 2 * 40 / len(CHECKS)  # twice the share of one check in 40 quarters


def test_a_fall_is_beyond_the_limit_and_a_rise_is_not():
    usual = usual_of(windows(60, 1.0), days=1)
    assert usual is not None

    assert usual.excess(Measured(0.55, 0.02), rare=RARE) > 1
    assert usual.excess(Measured(0.85, 0.02), rare=RARE) < 0


def test_days_that_lie_far_apart_make_the_limit_wide():
    near, far = (usual_of(windows(60, spread), days=1) for spread in (1.0, 5.0))
    assert near is not None
    assert far is not None

    fallen = Measured(0.55, 0.02)

    assert far.excess(fallen, rare=RARE) < 1 < near.excess(fallen, rare=RARE)


def test_too_few_windows_say_nothing():
    assert usual_of(windows(4, 1.0), days=1) is None
    assert usual_of(windows(30, 1.0), days=7) is None


def test_what_rows_do_not_define_raises_nothing():
    usual = usual_of(windows(60, 1.0), days=1)
    assert usual is not None

    assert usual.excess(Measured(float("nan"), 0.02), rare=RARE) == 0
    assert usual.excess(Measured(0.1, 0.0), rare=RARE) == 0


def test_a_rare_value_lies_beyond_all_usual_ones_and_farther_the_rarer():
    usual = np.random.default_rng(0).lognormal(size=60)

    assert max(usual) < rare_value(usual, rare=1e-2) < rare_value(usual, rare=1e-5)
