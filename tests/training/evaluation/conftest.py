"""Outcomes of every task, small, seeded, and easy to make worse."""

from collections.abc import Callable

import numpy as np
import pytest

from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Outcome, TargetSpec

MakeOutcome = Callable[..., Outcome]


@pytest.fixture
def binary_outcome() -> MakeOutcome:
    """(rows, skill, seed) → outcome with probabilities; a larger skill ranks better."""

    def make(rows: int = 400, skill: float = 1.0, seed: int = 0) -> Outcome:
        truth = (np.random.default_rng(1).random(rows) < 0.3).astype(int)
        noise = np.random.default_rng(seed).normal(size=rows)
        probability = 1 / (1 + np.exp(-(skill * (truth - 0.5) + noise - 0.8)))
        target = TargetSpec("binary", (0, 1), 1)
        return Outcome.pair(truth, read(probability, target, rows=rows))

    return make


@pytest.fixture
def regression_outcome() -> MakeOutcome:
    """(rows, error, seed) → outcome whose errors have that standard deviation."""

    def make(rows: int = 400, error: float = 1.0, seed: int = 0) -> Outcome:
        truth = np.random.default_rng(1).normal(10, 2, size=rows)
        noise = np.random.default_rng(seed).normal(scale=error, size=rows)
        return Outcome.pair(truth, read(truth + noise, TargetSpec("regression"), rows=rows))

    return make
