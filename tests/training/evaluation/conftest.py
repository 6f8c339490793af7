"""Outcomes of every task, small, seeded, and easy to make worse."""

from collections.abc import Callable

import numpy as np
import pytest

from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Pairs, TargetSpec

MakePairs = Callable[..., Pairs]


@pytest.fixture
def binary_pairs() -> MakePairs:
    """(rows, skill, seed) → pairs with probabilities; a larger skill ranks better."""

    def make(rows: int = 400, skill: float = 1.0, seed: int = 0) -> Pairs:
        truth = (np.random.default_rng(1).random(rows) < 0.3).astype(int)
        noise = np.random.default_rng(seed).normal(size=rows)
        probability = 1 / (1 + np.exp(-(skill * (truth - 0.5) + noise - 0.8)))
        target = TargetSpec("binary", (0, 1), 1)
        return Pairs.pair(truth, read(probability, target, rows=rows))

    return make


@pytest.fixture
def regression_pairs() -> MakePairs:
    """(rows, error, seed) → pairs whose errors have that standard deviation."""

    def make(rows: int = 400, error: float = 1.0, seed: int = 0) -> Pairs:
        truth = np.random.default_rng(1).normal(10, 2, size=rows)
        noise = np.random.default_rng(seed).normal(scale=error, size=rows)
        return Pairs.pair(truth, read(truth + noise, TargetSpec("regression"), rows=rows))

    return make
