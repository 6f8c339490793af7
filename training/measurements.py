"""The numbers that a decision is based on, as plain records: no criteria, no models, no registry.

`gate/measure.py` fills them; each criterion of `recipe/criteria/` reads the ones that it needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Stage = Literal["load", "example", "predict", "latency"]


@dataclass(frozen=True)
class Slice:
    """The rows that have the same value in a column.

    Attributes:
        column: Name of the column.
        value: The common value, as text; `(missing)` for rows without one.
        rows: Number of rows.
        scores: Metric → value, `nan` if the slice does not define it.
        undefined: Metric → why the slice does not define it.
    """

    column: str
    value: str
    rows: int
    scores: dict[str, float]
    undefined: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same rows.

    Attributes:
        candidate: Metric of the candidate.
        production: Metric of the production version.
        gain: Difference of the two, positive if the candidate is better, whether the metric should
            be large or small.
        low: Lower end of the two-sided interval of the gain.
        high: Upper end of the two-sided interval of the gain.
        bound: One-sided lower bound of the gain: the gain is larger with probability `confidence`.
        confidence: Confidence level of the interval and of the bound.
    """

    candidate: float
    production: float
    gain: float
    low: float
    high: float
    bound: float
    confidence: float


@dataclass(frozen=True)
class Comparison:
    """Comparison of the judged version with the version that serves.

    Attributes:
        version: Number of the version that serves, with the stages before it, for people.
        differences: Metric → how much better the judged version is on the same rows.
        failure: Why the two could not be compared on this holdout; None if they could.
        breaking_changes: Changes of the signature that break clients of the serving version, one
            sentence each.
    """

    version: str
    differences: Mapping[str, Difference] = field(default_factory=dict)
    failure: str | None = None
    breaking_changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurements:
    """The measurements of one version.

    Attributes:
        rows: Number of rows of the holdout.
        scores: Metric → value on the holdout, `nan` if it is not defined.
        undefined: Metric → why the holdout does not define it.
        slices: Slices of the holdout, one sliced column after the other.
        slicing_failures: Column → why the holdout could not be sliced by it.
        latency_ms: Median time of a one-row prediction, in milliseconds; None if not measured.
        load_seconds: Seconds in which a fresh process loaded the model; None if it did not load.
        failures: Stage of the probe → description of the failure.
        comparison: Comparison with the version that serves; None if none serves.
    """

    rows: int
    scores: Mapping[str, float] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    slicing_failures: Mapping[str, str] = field(default_factory=dict)
    latency_ms: float | None = None
    load_seconds: float | None = None
    failures: Mapping[Stage, str] = field(default_factory=dict)
    comparison: Comparison | None = None

    @property
    def prediction_failure(self) -> str | None:
        """Why there are no predictions for the holdout; None if there are."""
        return self.failures.get("load") or self.failures.get("predict")

    def why_undefined(self, metric: str) -> str:
        """Return why a metric has no value on the holdout, as a sentence."""
        reason = self.prediction_failure or self.undefined.get(
            metric, "too few rows decide it, and many draws of the bootstrap do not define it"
        )
        return f"{metric} could not be computed: {reason}"
