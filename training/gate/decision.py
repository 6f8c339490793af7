"""The decision: a pure function from criteria and numbers to verdicts."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, nan
from typing import Literal

from cloche.training.evaluation.intervals import Difference
from cloche.training.evaluation.slices import Slice
from cloche.training.gate.measurements import Comparison, Measurements
from cloche.training.recipe.metric_catalog import METRICS
from cloche.training.recipe.sections import Gate, NotWorse, SliceFloor

Result = Literal["passed", "failed", "not applicable"]

# Most slices that one sentence names; the evidence contains all of them.
_NAMED_SLICES = 5


@dataclass(frozen=True)
class Verdict:
    """The result of one criterion.

    Attributes:
        name: Name of the criterion.
        required: What the criterion requires, as text.
        measured: What was measured, as text.
        result: Outcome for this criterion: passed, failed, or not applicable.
        sentence: The verdict for people.
    """

    name: str
    required: str
    measured: str
    result: Result
    sentence: str


@dataclass(frozen=True)
class Decision:
    """All verdicts on one version, one for each criterion."""

    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether the version may serve, because no criterion failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The verdicts of the criteria that failed."""
        return tuple(verdict for verdict in self.verdicts if verdict.result == "failed")


def decide(gate: Gate, measured: Measurements, *, allow_breaking: bool = False) -> Decision:
    """Judge a version by its criteria.

    Each of these rules gives one verdict:

    - The model loads in a fresh process, and answers its input example in the way it is served.
    - Each metric of `gate.minimum` reaches its floor.
    - By `gate.not_worse`, the version is not worse than production by more than the margin: the
      one-sided lower bound of the paired bootstrap of the gain is at least `-margin`. A version
      that is truly worse by more than the margin is refused with the stated confidence, even if its
      holdout score is high by luck. An equally good version passes once the holdout is large enough
      to show that; one with identical predictions always passes.
    - Each floor of `gate.slices` is reached in every slice of at least `min_rows` rows.
    - The median time of a one-row prediction is within `gate.latency_ms`.
    - The signature is compatible with the clients of production.

    A number that is `nan` or infinite never passes. Comparisons with production are not applicable
    while no version serves.

    Args:
        gate: Criteria, with `not_worse.metric` set.
        measured: Measurements of the version.
        allow_breaking: Whether to accept a changed signature, and a production version that cannot
            be scored on this holdout.
    """
    return Decision(
        (
            _loads(measured),
            _example(measured),
            *(_minimum(metric, floor, measured) for metric, floor in gate.minimum.items()),
            *_not_worse(gate.not_worse, measured, allow_breaking=allow_breaking),
            *(_slice_floor(floor, measured) for floor in gate.slices),
            *_latency(gate.latency_ms, measured),
            _signature(measured.comparison, allow_breaking=allow_breaking),
        )
    )


def reaches(metric: str, value: float, floor: float) -> bool:
    """Return whether a value is as good as the floor, in the metric's direction; `nan` never is."""
    if not isfinite(value):
        return False
    return value >= floor if METRICS[metric].greater_is_better else value <= floor


def _loads(measured: Measurements) -> Verdict:
    reason = measured.failures.get("load")
    if reason is not None:
        return Verdict("loads", "in a fresh process", "no", "failed", f"does not load: {reason}")
    seconds = measured.load_seconds
    found = "yes" if seconds is None else f"in {seconds:.1f} s"
    return Verdict(
        "loads",
        "in a fresh process",
        found,
        "passed",
        "loads in a fresh process by MLflow's pyfunc",
    )


def _example(measured: Measurements) -> Verdict:
    name, required = "input example", "asked and answered as it is served"
    reason = measured.failures.get("load") or measured.failures.get("example")
    if reason is not None:
        return Verdict(
            name, required, "refused", "failed", f"the input example does not pass: {reason}"
        )
    return Verdict(
        name, required, "answered", "passed", "the input example is answered as it is served"
    )


def _minimum(metric: str, floor: float, measured: Measurements) -> Verdict:
    name, required = f"minimum {metric}", f"{_direction(metric)} {floor:g}"
    value = measured.scores.get(metric, nan)
    if not isfinite(value):
        return Verdict(name, required, "undefined", "failed", _undefined(metric, measured))
    sentence = f"{metric} is {value:.4f}; {required} is required"
    result: Result = "passed" if reaches(metric, value, floor) else "failed"
    return Verdict(name, required, f"{value:.4f}", result, sentence)


def _not_worse(
    criterion: NotWorse | None, measured: Measurements, *, allow_breaking: bool
) -> Iterator[Verdict]:
    if criterion is None:
        return
    if criterion.metric is None:
        raise ValueError("not_worse.metric must be named before a decision")
    metric, comparison = criterion.metric, measured.comparison
    name, required = f"not worse by {metric}", f"at most {criterion.margin:g} worse"
    if comparison is None:
        sentence = "nothing serves yet, so there is nothing to compare with"
        yield Verdict(name, required, "no production", "not applicable", sentence)
        return
    difference = comparison.differences.get(metric)
    if difference is None or not isfinite(difference.production):
        reason = comparison.failure or (
            f"{metric} is undefined: {measured.undefined[metric]}"
            if metric in measured.undefined
            else f"{metric} is not defined for its predictions"
        )
        sentence = f"production version {comparison.version} cannot be compared: {reason}"
        accepted = allow_breaking and measured.unpredicted is None
        yield Verdict(
            name,
            required,
            "not comparable",
            "not applicable" if accepted else "failed",
            sentence + (" (accepted by --allow-breaking)" if accepted else ""),
        )
    elif not (isfinite(difference.gain) and isfinite(difference.bound)):
        yield Verdict(name, required, "undefined", "failed", _undefined(metric, measured))
    else:
        yield _compared(criterion, difference, comparison.version, measured.rows)


def _compared(criterion: NotWorse, difference: Difference, version: str, rows: int) -> Verdict:
    """Return the verdict on a difference that is defined."""
    metric, margin = criterion.metric, f"{criterion.margin:g}"
    better = f"{abs(difference.gain):.4f} {'better' if difference.gain >= 0 else 'worse'}"
    confidence = f"with {difference.confidence:.0%} confidence"
    sentence = f"by {metric} it is {better} than production version {version}"
    passed = difference.bound >= -criterion.margin
    if passed:
        sentence += f", and {confidence} not worse by more than {margin}"
    elif difference.gain < -criterion.margin:
        sentence += f"; a margin of {margin} is allowed"
    else:
        sentence += (
            f", but {rows:,} rows do not show {confidence} that it is not worse by more than "
            f"{margin}: it may be {-difference.bound:.4f} worse"
        )
    return Verdict(
        f"not worse by {metric}",
        f"at most {margin} worse",
        f"{better}, at worst {difference.bound:+.4f}",
        "passed" if passed else "failed",
        sentence,
    )


def _slice_floor(floor: SliceFloor, measured: Measurements) -> Verdict:
    metric = floor.metric
    name = f"{metric} by {floor.column}"
    required = f"{_direction(metric)} {floor.minimum:g} in each of {floor.min_rows:,} rows or more"
    reason = measured.unpredicted or measured.unsliced.get(floor.column)
    if reason is not None:
        sentence = f"slices by {floor.column} could not be measured: {reason}"
        return Verdict(name, required, "not measured", "failed", sentence)
    parts = [part for part in measured.slices if part.column == floor.column]
    judged = [part for part in parts if part.rows >= floor.min_rows]
    small = len(parts) - len(judged)
    aside = f" ({small} smaller ones are reported and not judged)" if small else ""
    if not judged:
        sentence = f"no slice by {floor.column} has {floor.min_rows:,} rows{aside}"
        return Verdict(name, required, "no slice", "not applicable", sentence)
    low = [part for part in judged if not reaches(metric, _score(part, metric), floor.minimum)]
    if low:
        named = ", ".join(_slice_text(part, metric) for part in low[:_NAMED_SLICES])
        more = f" and {len(low) - _NAMED_SLICES} more" if len(low) > _NAMED_SLICES else ""
        sentence = (
            f"{metric} misses {floor.minimum:g} in {len(low)} of {len(judged)} slices by "
            f"{floor.column}: {named}{more}{aside}"
        )
        return Verdict(name, required, _slice_text(low[0], metric), "failed", sentence)
    sign = 1 if METRICS[metric].greater_is_better else -1
    worst = min(judged, key=lambda part: sign * _score(part, metric))
    sentence = (
        f"all {len(judged)} slices by {floor.column} hold; the worst is "
        f"{_slice_text(worst, metric)}{aside}"
    )
    return Verdict(name, required, _slice_text(worst, metric), "passed", sentence)


def _latency(budget: float | None, measured: Measurements) -> Iterator[Verdict]:
    if budget is None:
        return
    name, required = "latency", f"at most {budget:g} ms a row"
    value = measured.latency_ms
    if value is None or not isfinite(value):
        reason = measured.unpredicted or measured.failures.get("latency", "not measured")
        sentence = f"the time of one row could not be measured: {reason}"
        yield Verdict(name, required, "not measured", "failed", sentence)
        return
    sentence = f"one row takes {value:.1f} ms (median); {budget:g} ms are allowed"
    result: Result = "passed" if value <= budget else "failed"
    yield Verdict(name, required, f"{value:.1f} ms", result, sentence)


def _signature(comparison: Comparison | None, *, allow_breaking: bool) -> Verdict:
    name, required = "signature", "fits production's clients"
    if comparison is None:
        sentence = "nothing serves yet, so no client depends on a signature"
        return Verdict(name, required, "no production", "not applicable", sentence)
    if not comparison.breaks:
        sentence = f"clients of version {comparison.version} find its columns again"
        return Verdict(name, required, "compatible", "passed", sentence)
    sentence = f"breaks clients of version {comparison.version}: {'; '.join(comparison.breaks)}"
    found = f"{len(comparison.breaks)} changed"
    if allow_breaking:
        return Verdict(
            name, required, found, "passed", f"{sentence} (accepted by --allow-breaking)"
        )
    return Verdict(
        name, required, found, "failed", f"{sentence}; --allow-breaking if they know of it"
    )


def _score(part: Slice, metric: str) -> float:
    return part.scores.get(metric, nan)


def _slice_text(part: Slice, metric: str) -> str:
    value = _score(part, metric)
    if isfinite(value):
        return f"{part.value}: {value:.4f}"
    reason = part.undefined.get(metric)
    return f"{part.value}: undefined" + (f" ({reason})" if reason else "")


def _undefined(metric: str, measured: Measurements) -> str:
    reason = measured.unpredicted or measured.undefined.get(
        metric, "too few rows decide it, and many draws of the bootstrap do not define it"
    )
    return f"{metric} could not be computed: {reason}"


def _direction(metric: str) -> str:
    return "at least" if METRICS[metric].greater_is_better else "at most"
