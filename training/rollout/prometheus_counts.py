"""What all servers count of a step, from the metrics that Prometheus has of them.

Counters know no callers, so these counts hold neither callers nor independent failures: no evidence
for an abort, and no check of the shares. Servers abort by what each of them has counted.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from cloche.rollout.counts import Arm, Counted, RolloutCounts
from cloche.rollout.server_counts import ServerCounts
from cloche.rollout.step import Step
from cloche.training.rollout.prometheus_api import PrometheusApi, Series
from cloche.training.rollout.rollout_state import RolloutState

_BEFORE = "1d"  # in which a series had a value before the step, if it is older than that
_CHUNK_SECONDS = 3600.0  # of samples that one query asks for
_FEWEST_TIMED = 1000  # requests of production, by which it is decided what is slow
_COUNTED: Mapping[str, Counted] = {
    "cloche_arm_requests_total": "requests",
    "cloche_arm_failures_total": "failures",
    "cloche_arm_differences_total": "differences",
}
_BUCKET, _TIMED = "cloche_arm_duration_seconds_bucket", "cloche_arm_duration_seconds_count"


class CounterSums:
    """How much counters have grown, by name and arm; a counter that falls began at zero again.

    `increase` of PromQL extrapolates, and misses the first value of a new series: of three failures
    that a server has counted, it may tell none.
    """

    def __init__(self) -> None:
        self._last: dict[frozenset[tuple[str, str]], tuple[float, float]] = {}
        self._sums: defaultdict[tuple[str, str], float] = defaultdict(float)

    def begin(self, found: Iterable[Series]) -> None:
        """Begin where these counters are; one that is not among them begins at zero."""
        self._last.update((one.key, one.samples[-1]) for one in found if one.samples)

    def add(self, found: Iterable[Series]) -> None:
        """Add the samples since the last ones; those that were added before add nothing."""
        for one in found:
            sample = self._last.get(one.key, (-math.inf, 0.0))
            name = one.labels["__name__"], one.labels["arm"]
            for time, value in one.samples:
                if time > sample[0]:
                    self._sums[name] += value - (sample[1] if value >= sample[1] else 0.0)
                    sample = time, value
            self._last[one.key] = sample

    def of(self, name: str, arm: str) -> int:
        """Return how much the counters of a name have grown for an arm."""
        return round(self._sums[name, arm])


class PrometheusCounts:
    """The counts of one step after another, read from Prometheus.

    All of it can be read again, so a driver that goes on for another one keeps nothing.
    """

    def __init__(self, api: PrometheusApi) -> None:
        self._api = api
        self._step: tuple[Step, str] | None = None
        self._sums = CounterSums()
        self._until = 0.0
        self._bound = ""  # what takes longer is slow; empty while that is not decided
        self._servers: set[str] = set()

    @property
    def about(self) -> str:
        """What is told when a driver begins."""
        return (
            f"counts come from Prometheus at {self._api.address}, which knows no callers: steps "
            "are taken by all counts, each server aborts by its own, and the shares are not checked"
        )

    def read(self, state: RolloutState, now: datetime) -> RolloutState:
        """Return the state with what Prometheus says instead of the tags of servers.

        Raises:
            PrometheusAway: Prometheus does not answer.
        """
        step = state.step
        if step is None:
            return state
        if self._step != (step, state.version):
            self._begin(state, step)
        self._add_samples(state, step, now.timestamp())
        shadow, percent = step.shadow, step.percent
        counted = ServerCounts(
            self._counts(step), at=now.timestamp(), run_id=state.run_id,
            percent=0.0 if shadow else percent, shadow_percent=percent if shadow else 0.0,
        )  # fmt: skip
        nothing = ServerCounts(RolloutCounts(), counted.percent, counted.shadow_percent)
        names = sorted(self._servers)
        return replace(
            state,
            server_counts={name: nothing if index else counted for index, name in enumerate(names)},
        )

    def _begin(self, state: RolloutState, step: Step) -> None:
        """Begin where the counters were when the step began."""
        since = step.since.timestamp()
        if self._step != (step, state.version):
            self._bound = self._slow_bound(state, step, since)
        self._step, self._until = (step, state.version), since
        self._sums, self._servers = CounterSums(), set()
        before = f"last_over_time({self._selector(state, step)}[{_BEFORE}])"
        self._sums.begin(self._api.query(before, since))

    def _add_samples(self, state: RolloutState, step: Step, now: float) -> None:
        """Add what was counted since the last look."""
        if not self._bound:
            self._bound = self._slow_bound(state, step, now)
            if self._bound:  # which was not counted until now
                self._begin(state, step)
        while self._until < now:
            end = min(now, self._until + _CHUNK_SECONDS)
            seconds = math.ceil(end - self._until) + 1
            found = self._api.query(f"{self._selector(state, step)}[{seconds}s]", end)
            self._sums.add(found)
            self._servers |= {one.labels.get("instance", "") for one in found}
            self._until = end

    def _slow_bound(self, state: RolloutState, step: Step, at: float) -> str:
        """Return the upper bound of the bucket in which the plan's quantile of production is.

        It is empty while that cannot be said, or if the plan judges no latency.
        """
        slow = state.plan.slow
        if slow is None or step.shadow:
            return ""
        model = _quoted(state.model.name)
        series = f'{_BUCKET}{{model={model},version="{step.production}",arm="production"}}'
        found = self._api.query(f"sum by (le) ({series})", at)
        counts = {one.labels["le"]: one.samples[-1][1] for one in found if one.samples}
        timed = max(counts.values(), default=0.0)
        if timed < _FEWEST_TIMED:
            return ""
        finite = sorted((le for le in counts if float(le) < math.inf), key=float)
        return next((le for le in finite if counts[le] >= slow.quantile * timed), finite[-1])

    def _selector(self, state: RolloutState, step: Step) -> str:
        """Return the selector of all counters: the label `le` is that of the bucket, or missing."""
        names = "|".join((*_COUNTED, _TIMED, _BUCKET))
        versions = f"{state.version}|{step.production}"
        bucket = re.escape(self._bound or "none")
        return (
            f'{{__name__=~"{names}",model={_quoted(state.model.name)},version=~"{versions}",'
            f"le=~{_quoted('|' + bucket)}}}"
        )

    def _counts(self, step: Step) -> RolloutCounts:
        """Return the counts of the step's arms."""
        counts = RolloutCounts()
        arms: tuple[Arm, ...] = ("shadow", "baseline") if step.shadow else ("canary", "production")
        for arm in arms:
            for name, what in _COUNTED.items():
                counts.count(step.percent, arm, what, self._sums.of(name, arm))
            requests = counts.of(step.percent, arm, "requests")
            timed = self._sums.of(_TIMED, arm) if self._bound else 0
            counts.count(step.percent, arm, "untimed", max(0, requests - timed))
            if self._bound:
                counts.count(step.percent, arm, "slow", timed - self._sums.of(_BUCKET, arm))
        return counts


def _quoted(text: str) -> str:
    """Return a string literal of PromQL, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
