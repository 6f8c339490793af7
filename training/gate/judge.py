"""One judgement: a policy, two versions, the measurements, and the decision based on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from cloche.training.gate.decision import Decision, decide
from cloche.training.gate.fetched_version import FetchedVersion
from cloche.training.gate.measure import MeasuredVersion, measure
from cloche.training.gate.policy import Policy
from cloche.values.progress import Say


@dataclass(frozen=True)
class Judgement:
    """Everything that the evidence is written from."""

    candidate: FetchedVersion
    production: FetchedVersion | None
    policy: Policy
    measured: MeasuredVersion
    decision: Decision


def judge(
    client: MlflowClient,
    policy: Policy,
    candidate: FetchedVersion,
    production: FetchedVersion | None,
    *,
    live: str | None = None,
    allow_breaking: bool,
    timeout: float,
    extra_names: Sequence[str] = (),
    interpreter: Callable[[Path], str] = lambda _: "",
    say: Say,
) -> Judgement:
    """Measure and decide, without writing anything.

    The arguments and errors are those of `measure`, and the errors of `decide`.
    """
    measured = measure(
        client, policy, candidate, production, live=live, allow_breaking=allow_breaking,
        timeout=timeout, extra_names=extra_names, interpreter=interpreter, say=say,
    )  # fmt: skip
    decision = decide(policy.resolved_gate, measured.measurements, allow_breaking=allow_breaking)
    return Judgement(candidate, production, policy, measured, decision)
