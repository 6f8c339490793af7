"""The decision: a pure function from criteria and numbers to verdicts."""

from dataclasses import dataclass

from cloche.training.measurements import Comparison, Measurements
from cloche.training.recipe.criteria.criterion import CriterionVerdict
from cloche.training.recipe.criteria.gate import Gate


@dataclass(frozen=True)
class Decision:
    """All verdicts on one version, one for each criterion."""

    verdicts: tuple[CriterionVerdict, ...]

    @property
    def passed(self) -> bool:
        """Whether the version may serve, because no criterion failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[CriterionVerdict, ...]:
        """The verdicts of the criteria that failed."""
        return tuple(verdict for verdict in self.verdicts if verdict.result == "failed")


def decide(gate: Gate, measurements: Measurements, *, allow_breaking: bool = False) -> Decision:
    """Judge a version by its criteria.

    Every version must load in a fresh process, answer its input example in the way it is served,
    and have a signature that fits the clients of production. These three have no key in a policy
    and are functions below; each criterion that a policy asks for is judged by its own class.

    Args:
        gate: Criteria, with `not_worse.metric` set.
        measurements: Measurements of the version.
        allow_breaking: Whether to accept a changed signature, and a production version that cannot
            be scored on this holdout.
    """
    return Decision(
        (
            _loads(measurements),
            _example(measurements),
            *(one.verdict(measurements, allow_breaking=allow_breaking) for one in gate.criteria()),
            _signature(measurements.comparison, allow_breaking=allow_breaking),
        )
    )


def _loads(measurements: Measurements) -> CriterionVerdict:
    reason = measurements.failures.get("load")
    if reason is not None:
        return CriterionVerdict(
            "loads", "in a fresh process", "no", "failed", f"does not load: {reason}"
        )
    seconds = measurements.load_seconds
    found = "yes" if seconds is None else f"in {seconds:.1f} s"
    return CriterionVerdict(
        "loads",
        "in a fresh process",
        found,
        "passed",
        "loads in a fresh process by MLflow's pyfunc",
    )


def _example(measurements: Measurements) -> CriterionVerdict:
    name, required = "input example", "asked and answered as it is served"
    reason = measurements.failures.get("load") or measurements.failures.get("example")
    if reason is not None:
        return CriterionVerdict(
            name, required, "refused", "failed", f"the input example does not pass: {reason}"
        )
    return CriterionVerdict(
        name, required, "answered", "passed", "the input example is answered as it is served"
    )


def _signature(comparison: Comparison | None, *, allow_breaking: bool) -> CriterionVerdict:
    name, required = "signature", "fits production's clients"
    if comparison is None:
        sentence = "nothing serves yet, so no client depends on a signature"
        return CriterionVerdict(name, required, "no production", "not applicable", sentence)
    if not comparison.breaking_changes:
        sentence = f"clients of version {comparison.version} find its columns again"
        return CriterionVerdict(name, required, "compatible", "passed", sentence)
    sentence = (
        f"breaks clients of version {comparison.version}: {'; '.join(comparison.breaking_changes)}"
    )
    found = f"{len(comparison.breaking_changes)} changed"
    if allow_breaking:
        return CriterionVerdict(
            name, required, found, "passed", f"{sentence} (accepted by --allow-breaking)"
        )
    return CriterionVerdict(
        name, required, found, "failed", f"{sentence}; --allow-breaking if they know of it"
    )
