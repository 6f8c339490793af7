"""One judgement: a policy, two versions, the measurements, and the decision based on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from cloche.training.gate.candidate import Candidate
from cloche.training.gate.decision import Decision, decide
from cloche.training.gate.measure import MeasuredVersion, Say, measure
from cloche.training.gate.policy import Policy


@dataclass(frozen=True)
class Judgement:
    """Everything that the evidence is written from."""

    candidate: Candidate
    production: Candidate | None
    policy: Policy
    measured: MeasuredVersion
    decision: Decision


def judge(
    client: MlflowClient,
    policy: Policy,
    candidate: Candidate,
    production: Candidate | None,
    *,
    allow_breaking: bool,
    timeout: float,
    extra_names: Sequence[str] = (),
    interpreter: Callable[[Path], str] = lambda _: "",
    say: Say,
) -> Judgement:
    """Measure and decide, without writing anything.

    The arguments are those of `probe_process.probe`, the errors those of `measure` and `decide`.
    """
    measured = measure(
        client, policy, candidate, production, allow_breaking=allow_breaking, timeout=timeout,
        extra_names=extra_names, interpreter=interpreter, say=say,
    )  # fmt: skip
    decision = decide(policy.resolved_gate, measured.measurements, allow_breaking=allow_breaking)
    return Judgement(candidate, production, policy, measured, decision)
