"""Quality is estimated without labels where probabilities can be trusted, and only there."""

import numpy as np
import pytest

from cloche.training.evaluation.predictions import Pairs, Predictions, TargetSpec
from cloche.training.evaluation.weighted_metrics import prepare
from cloche.training.monitor.estimate import Estimator, estimator_of
from cloche.training.monitor.quality import LabelledRows, measured

TARGET = TargetSpec("binary", (0, 1), 1)


def rows(count: int, *, spread: float, distortion: float = 1.0, seed: int = 0) -> LabelledRows:
    """Rows of a model that knows the chance of each, and tells its logit times `distortion`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(-1, spread, count)
    truth = (generator.random(count) < 1 / (1 + np.exp(-logits))).astype(np.intp)
    told = 1 / (1 + np.exp(-logits * distortion))
    codes = (told >= 0.5).astype(np.intp)
    predictions = Predictions(TARGET, codes=codes, probabilities=np.column_stack([1 - told, told]))
    return LabelledRows(Pairs(truth, predictions), np.ones(count), np.zeros(count, int), {})


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy"])
@pytest.mark.parametrize("distortion", [1.0, 3.0])
def test_the_estimate_is_the_realised_quality_of_another_mix_of_rows(
    metric: str, distortion: float
):
    estimator = Estimator(rows(20_000, spread=1.5, distortion=distortion))
    later = rows(20_000, spread=0.7, distortion=distortion, seed=1)

    estimated = estimator.estimate(metric, later.pairs.predictions)(later.weights)

    assert estimated == pytest.approx(prepare(metric, later.pairs)(later.weights), abs=0.015)


def test_realised_minus_estimated_falls_when_labels_follow_something_else():
    estimator = Estimator(rows(20_000, spread=1.5))
    later = rows(2_000, spread=1.5, seed=1)
    shuffled = Pairs(
        np.random.default_rng(0).permutation(later.pairs.truth), later.pairs.predictions
    )
    wrong = LabelledRows(shuffled, later.weights, later.days, {})

    right, fallen = (measured(estimator.gap("roc_auc", r), r.weights) for r in (later, wrong))

    assert abs(right.value) < 4 * right.error
    assert fallen.value < -10 * fallen.error


def test_weights_stand_for_rows():
    estimator, later = Estimator(rows(2_000, spread=1.5)), rows(500, spread=1.5, seed=1)
    twice = later.take(np.r_[0:500, 0:100])
    weights = np.r_[np.full(100, 2.0), np.ones(400)]

    assert estimator.estimate("roc_auc", later.pairs.predictions)(weights) == pytest.approx(
        estimator.estimate("roc_auc", twice.pairs.predictions)(twice.weights)
    )


def test_other_metrics_and_models_without_a_holdout_have_no_estimate():
    assert estimator_of(None, "roc_auc") is None
    assert estimator_of(rows(100, spread=1.0), "f1") is None
