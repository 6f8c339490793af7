"""Bootstrap intervals: seeded, of the right width, and paired where two models are compared."""

import numpy as np
import pytest

from cloche.training.errors import TrainingError
from cloche.training.evaluation.intervals import intervals, paired_differences
from cloche.training.evaluation.metrics import score
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Pairs, TargetSpec
from cloche.training.recipe.metric_catalog import metrics_for


def test_an_interval_holds_the_value_and_is_the_same_again_with_the_same_seed(binary_pairs):
    pairs = binary_pairs()
    first = intervals(pairs, metrics_for("binary"), resamples=200, seed=1)
    assert first == intervals(pairs, metrics_for("binary"), resamples=200, seed=1)
    assert first != intervals(pairs, metrics_for("binary"), resamples=200, seed=2)
    for metric, interval in first.items():
        assert interval.value == score(metric, pairs)
        assert interval.low < interval.value < interval.high


def test_the_interval_of_a_mean_has_the_width_that_theory_gives(regression_pairs):
    pairs = regression_pairs(rows=2_000)
    errors = np.abs(pairs.truth - pairs.predictions.values)
    interval = intervals(pairs, ["mae"], resamples=2_000, seed=0)["mae"]
    expected = 2 * 1.96 * errors.std() / np.sqrt(len(errors))
    assert interval.high - interval.low == pytest.approx(expected, rel=0.1)


def test_more_confidence_makes_a_wider_interval(binary_pairs):
    pairs = binary_pairs()
    narrow, wide = (
        intervals(pairs, ["roc_auc"], resamples=300, confidence=c, seed=0)["roc_auc"]
        for c in (0.8, 0.99)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_model_compared_with_itself_differs_by_exactly_nothing(binary_pairs):
    pairs = binary_pairs()
    for difference in paired_differences(
        pairs, pairs, metrics_for("binary"), resamples=100, seed=0
    ).values():
        assert difference.gain == difference.low == difference.bound == difference.high == 0


def test_pairing_tells_two_models_apart_where_their_own_intervals_overlap(regression_pairs):
    production = regression_pairs(rows=400)
    truth, values = production.truth, production.predictions.values
    closer = truth + 0.9 * (values - truth)
    candidate = Pairs.pair(truth, read(closer, TargetSpec("regression"), rows=400))
    own = [intervals(o, ["mae"], resamples=300, seed=0)["mae"] for o in (candidate, production)]
    difference = paired_differences(candidate, production, ["mae"], resamples=300, seed=0)["mae"]
    assert own[0].high > own[1].low
    assert difference.bound > 0


@pytest.mark.parametrize("metric", ["mae", "r2"])
def test_a_gain_is_positive_for_the_better_model_whichever_way_the_metric_points(
    metric, regression_pairs
):
    better, worse = regression_pairs(error=1.0), regression_pairs(error=2.0, seed=5)
    gain = paired_differences(better, worse, [metric], resamples=200, seed=0)[metric]
    loss = paired_differences(worse, better, [metric], resamples=200, seed=0)[metric]
    assert gain.low > 0 > loss.high
    assert gain.gain == pytest.approx(-loss.gain)
    assert gain.low <= gain.bound <= gain.gain <= gain.high


def test_bounds_are_unknown_where_many_draws_do_not_define_the_metric():
    truth = [0] * 20 + [1]
    pairs = Pairs.pair(
        truth, read(np.linspace(0.1, 0.9, 21), TargetSpec("binary", (0, 1), 1), rows=21)
    )
    interval = intervals(pairs, ["roc_auc"], resamples=200, seed=0)["roc_auc"]
    assert interval.value == 1
    assert np.isnan([interval.low, interval.high]).all()


def test_models_are_compared_on_the_same_rows_only(binary_pairs):
    with pytest.raises(TrainingError, match="same rows"):
        paired_differences(
            binary_pairs(rows=10), binary_pairs(rows=11), ["roc_auc"], resamples=100, seed=0
        )


def test_copies_make_no_interval_and_no_comparison_surer(binary_pairs):
    ours, theirs = binary_pairs(rows=200), binary_pairs(rows=200, seed=4)
    rows = np.tile(np.arange(200), 3)
    metrics = metrics_for("binary")
    drawn = {"resamples": 100, "seed": 0}
    once = intervals(ours, metrics, **drawn)
    again = intervals(ours.take(rows), metrics, records=rows, **drawn)
    compared = paired_differences(ours, theirs, metrics, **drawn)
    copied = paired_differences(ours.take(rows), theirs.take(rows), metrics, records=rows, **drawn)
    for metric in metrics:
        assert vars(again[metric]) == pytest.approx(vars(once[metric]))
        assert vars(copied[metric]) == pytest.approx(vars(compared[metric]))


def test_a_model_worse_by_the_margin_is_seldom_mistaken_for_one_that_is_not():
    """100 holdouts, 95 % confidence: about 5 mistakes are expected, and 12 are far too many."""
    margin, rows, mistakes = 0.05, 400, 0
    target = TargetSpec("binary", (0, 1), 1)
    for seed in range(100):
        generator = np.random.default_rng(seed)
        truth = generator.integers(0, 2, rows)
        right = generator.random(rows) < 0.8
        also_right = right & (generator.random(rows) >= margin / 0.8)
        production, candidate = (
            Pairs.pair(truth, read(np.where(hit, truth, 1 - truth), target, rows=rows))
            for hit in (right, also_right)
        )
        found = paired_differences(
            candidate, production, ["accuracy"], resamples=200, confidence=0.95, seed=seed
        )
        mistakes += found["accuracy"].bound >= -margin
    assert 0 < mistakes <= 12
