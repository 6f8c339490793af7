"""The criteria that a metric reaches a floor: on the whole holdout, and in each of its slices."""

from dataclasses import dataclass
from functools import partial
from math import isfinite, nan

from pydantic import Field

from cloche.training.measurements import Measurements, Slice
from cloche.training.recipe.criteria.criterion import Criterion, CriterionVerdict
from cloche.training.recipe.metric_catalog import METRICS
from cloche.training.recipe.sections import Section
from cloche.training.recipe.values import MetricName

# Most slices that one sentence names; the evidence contains all of them.
_NAMED_SLICES = 5


@dataclass(frozen=True)
class Minimum(Criterion):
    """A floor for a metric, of which `gate.minimum` may have several.

    Attributes:
        metric: Metric that must reach the floor.
        floor: Worst value accepted (the largest one if lower is better).
    """

    metric: str
    floor: float

    def metrics(self) -> dict[str, str]:
        return {f"gate.minimum.{self.metric}": self.metric}

    def summary(self, primary_metric: str) -> str:
        return f"{self.metric} at least as good as {self.floor:g}"

    def verdict(self, measurements: Measurements, *, allow_breaking: bool) -> CriterionVerdict:
        name, required = f"minimum {self.metric}", _required(self.metric, self.floor)
        value = measurements.scores.get(self.metric, nan)
        if not isfinite(value):
            why = measurements.why_undefined(self.metric)
            return CriterionVerdict(name, required, "undefined", "failed", why)
        sentence = f"{self.metric} is {value:.4f}; {required} is required"
        passed = reaches(self.metric, value, self.floor)
        return CriterionVerdict(
            name, required, f"{value:.4f}", "passed" if passed else "failed", sentence
        )


class SliceFloor(Section, Criterion):
    """A floor for a metric in every slice of the holdout by the values of `column`.

    The report draws the floor in a chart of the slices (`gate/report.py`).

    Attributes:
        column: Column whose values make the slices.
        metric: Metric that must reach the floor.
        minimum: Worst value accepted (the largest one for metrics where lower is better).
        min_rows: Fewest rows of a slice that is judged; smaller slices are only reported.
    """

    column: str
    metric: MetricName
    minimum: float
    min_rows: int = Field(default=200, gt=0)

    def metrics(self) -> dict[str, str]:
        return {"gate.slices": self.metric}

    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def summary(self, primary_metric: str) -> str:
        return f"{self.metric} by {self.column} at least as good as {self.minimum:g}"

    def verdict(self, measurements: Measurements, *, allow_breaking: bool) -> CriterionVerdict:
        metric, column, floor = self.metric, self.column, f"{self.minimum:g}"
        verdict = partial(
            CriterionVerdict,
            f"{metric} by {column}",
            f"{_required(metric, self.minimum)} in each of {self.min_rows:,} rows or more",
        )
        reason = measurements.prediction_failure or measurements.slicing_failures.get(column)
        if reason is not None:
            sentence = f"slices by {column} could not be measured: {reason}"
            return verdict("not measured", "failed", sentence)
        parts = [part for part in measurements.slices if part.column == column]
        judged = [part for part in parts if part.rows >= self.min_rows]
        small = len(parts) - len(judged)
        aside = f" ({small} smaller ones are reported and not judged)" if small else ""
        if not judged:
            sentence = f"no slice by {column} has {self.min_rows:,} rows{aside}"
            return verdict("no slice", "not applicable", sentence)
        low = [p for p in judged if not reaches(metric, _score(p, metric), self.minimum)]
        if low:
            named = ", ".join(_text(part, metric) for part in low[:_NAMED_SLICES])
            more = f" and {len(low) - _NAMED_SLICES} more" if len(low) > _NAMED_SLICES else ""
            sentence = (
                f"{metric} misses {floor} in {len(low)} of {len(judged)} slices by {column}: "
                f"{named}{more}{aside}"
            )
            return verdict(_text(low[0], metric), "failed", sentence)
        sign = 1 if METRICS[metric].greater_is_better else -1
        worst = _text(min(judged, key=lambda part: sign * _score(part, metric)), metric)
        sentence = f"all {len(judged)} slices by {column} hold; the worst is {worst}{aside}"
        return verdict(worst, "passed", sentence)


def reaches(metric: str, value: float, floor: float) -> bool:
    """Return whether a value is as good as the floor, in the metric's direction; `nan` never is."""
    if not isfinite(value):
        return False
    return value >= floor if METRICS[metric].greater_is_better else value <= floor


def _required(metric: str, floor: float) -> str:
    return f"{'at least' if METRICS[metric].greater_is_better else 'at most'} {floor:g}"


def _score(part: Slice, metric: str) -> float:
    return part.scores.get(metric, nan)


def _text(part: Slice, metric: str) -> str:
    value = _score(part, metric)
    if isfinite(value):
        return f"{part.value}: {value:.4f}"
    reason = part.undefined.get(metric)
    return f"{part.value}: undefined" + (f" ({reason})" if reason else "")
