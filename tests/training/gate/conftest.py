"""Judgements with numbers made by hand: what is written from them needs no model to run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import Model

from cloche.training.evaluation.intervals import Interval
from cloche.training.gate.decision import decide
from cloche.training.gate.fetched_version import FetchedVersion
from cloche.training.gate.holdout import Holdout
from cloche.training.gate.judge import Judgement
from cloche.training.gate.measure import MeasuredVersion
from cloche.training.gate.policy import carried_policy
from cloche.training.measurements import Comparison, Difference, Measurements, Slice

MakeJudgement = Callable[..., Judgement]

GOOD = Measurements(
    rows=600,
    scores=MappingProxyType({"roc_auc": 0.82, "log_loss": float("nan")}),
    slices=(
        Slice("origin", "JFK", 420, {"roc_auc": 0.83, "log_loss": 0.4}),
        Slice("origin", "EWR", 180, {"roc_auc": 0.79, "log_loss": 0.5}),
    ),
    latency_ms=4.5,
    load_seconds=1.5,
    comparison=Comparison(
        "1",
        {
            "roc_auc": Difference(0.82, 0.80, 0.02, 0.01, 0.03, 0.012, 0.95),
            "log_loss": Difference(*[float("nan")] * 6, 0.95),
        },
    ),
)


@pytest.fixture
def make_judgement(client: MlflowClient, log_version: Any, holdout: pd.DataFrame) -> MakeJudgement:
    """(gate, **changed measurements) → a judgement of version 2 against version 1."""
    gate = {
        "minimum": {"roc_auc": 0.7},
        "not_worse": {"margin": 0.005},
        "slices": [{"column": "origin", "metric": "roc_auc", "minimum": 0.7, "min_rows": 200}],
    }
    numbers = [log_version(gate=gate), log_version(gate=gate)]

    def make(notes: tuple[str, ...] = (), **changes: Any) -> Judgement:
        production, candidate = (
            FetchedVersion(
                client.get_model_version("flight-delay", number),
                Path("unused"),
                Model.load(f"models:/flight-delay/{number}"),
            )
            for number in numbers
        )
        policy = carried_policy(candidate.model.metadata)
        assert policy is not None
        measurements = replace(GOOD, **changes)
        assert policy.holdout is not None
        return Judgement(
            candidate,
            production if measurements.comparison else None,
            policy,
            MeasuredVersion(
                measurements,
                {"roc_auc": Interval(0.82, 0.78, 0.86, 0.95)},
                Holdout(holdout, "runs:/1/holdout/holdout.parquet", policy.holdout.digest),
                notes,
            ),
            decide(policy.resolved_gate, measurements),
        )

    return make
