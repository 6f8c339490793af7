"""The numbers that a decision is based on: no criteria, no models, no registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cloche.training.evaluation.intervals import Difference
from cloche.training.evaluation.slices import Slice

Stage = Literal["load", "example", "predict", "latency"]


@dataclass(frozen=True)
class Comparison:
    """Comparison of the judged version with the version that serves.

    Attributes:
        version: Number of the version that serves.
        differences: Metric → how much better the judged version is on the same rows.
        failure: Why the serving version could not be scored on this holdout; None if it could.
        breaks: Changes of the signature that break clients of the serving version, one sentence
            each.
    """

    version: str
    differences: Mapping[str, Difference] = field(default_factory=dict)
    failure: str | None = None
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurements:
    """The measurements of one version.

    Attributes:
        rows: Number of rows of the holdout.
        scores: Metric → value on the holdout, `nan` if it is not defined.
        undefined: Metric → why the holdout does not define it.
        slices: Slices of the holdout, one sliced column after the other.
        unsliced: Column → why the holdout could not be sliced by it.
        latency_ms: Median time of a one-row prediction, in milliseconds; None if not measured.
        load_seconds: Seconds in which a fresh process loaded the model; None if it did not load.
        failures: Stage of the probe → description of the failure.
        comparison: Comparison with the version that serves; None if none serves.
    """

    rows: int
    scores: Mapping[str, float] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    unsliced: Mapping[str, str] = field(default_factory=dict)
    latency_ms: float | None = None
    load_seconds: float | None = None
    failures: Mapping[Stage, str] = field(default_factory=dict)
    comparison: Comparison | None = None

    @property
    def unpredicted(self) -> str | None:
        """Why there are no predictions for the holdout; None if there are."""
        return self.failures.get("load") or self.failures.get("predict")
