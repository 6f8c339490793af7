"""The numbers that a decision is made from: no criteria, no models, no registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cloche.training.evaluation.intervals import Difference
from cloche.training.evaluation.slices import Slice

Stage = Literal["load", "example", "predict", "latency"]


@dataclass(frozen=True)
class Comparison:
    """The version that serves, measured beside the one that is judged.

    Attributes:
        version: number of the version that serves.
        differences: metric → how much better the judged version is on the same rows.
        failure: why the serving version could not be scored on this holdout, if it could not.
        breaks: what a client of the serving version would trip over, one sentence each.
    """

    version: str
    differences: Mapping[str, Difference] = field(default_factory=dict)
    failure: str | None = None
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurements:
    """One version, measured.

    Attributes:
        rows: of the holdout.
        scores: metric → value on the holdout, `nan` where it is not defined.
        undefined: metric → why the holdout does not define it.
        slices: the parts of the holdout, every sliced column one after the other.
        unsliced: column → why the holdout could not be sliced by it.
        latency_ms: median time of a one-row prediction, in milliseconds; None if not measured.
        load_seconds: how long a fresh process took to load the model; None if it did not load.
        failures: stage of the probe → what went wrong there.
        comparison: with the version that serves; None where none does.
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
