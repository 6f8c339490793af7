"""A simulation, in steps of a second, of deploy/kubernetes's autoscaler under a changing load.

A pod scores all waiting requests as one batch while the next batch gathers, so its queue grows
steadily with the load, long before the pod is at its capacity.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import yaml

from benchmarks.scaling.measured import COLD_START_SECONDS, Path

AUTOSCALER = File(__file__).parents[2] / "deploy" / "kubernetes" / "base" / "autoscaler.yaml"
_SYNC_SECONDS = 15  # the interval of the controller, and of Prometheus's scrapes
_WINDOW_SECONDS = 60  # the window of the rule for prometheus-adapter
_TOLERANCE = 0.1
_MAX_BATCH = 512
_MAX_QUEUE = 2048
# 3 s to schedule, with the image on the node; the start; 3 s for the readiness probe and routing.
POD_SECONDS = round(3 + COLD_START_SECONDS + 3)


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """The settings of the HorizontalPodAutoscaler in the manifest.

    Attributes:
        queue: The target for the mean number of requests that wait in a pod.
        cpu: The target for the used share of a pod's two cores.
        least: The least number of pods.
        most: The largest number of pods.
        up: The percentage of pods that may be added in a period.
        up_seconds: The length of this period in seconds.
        down: The percentage of pods that may be removed in a minute.
        stable: The stabilization window in seconds, before pods are removed.
    """

    queue: float
    cpu: float
    least: int
    most: int
    up: int
    up_seconds: int
    down: int
    stable: int


def read(file: File = AUTOSCALER) -> Autoscaler:
    """Read the settings of the autoscaler from a manifest."""
    spec = yaml.safe_load(file.read_text())["spec"]
    metrics: dict[str, Any] = {metric["type"]: metric for metric in spec["metrics"]}
    rules = spec["behavior"]
    return Autoscaler(
        queue=float(metrics["Pods"]["pods"]["target"]["averageValue"]),
        cpu=metrics["Resource"]["resource"]["target"]["averageUtilization"] / 100,
        least=spec["minReplicas"],
        most=spec["maxReplicas"],
        up=rules["scaleUp"]["policies"][0]["value"],
        up_seconds=rules["scaleUp"]["policies"][0]["periodSeconds"],
        down=rules["scaleDown"]["policies"][0]["value"],
        stable=rules["scaleDown"]["stabilizationWindowSeconds"],
    )


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the simulation.

    Attributes:
        load: The number of requests that arrived.
        pods: The number of ready pods.
        waiting: The number of requests that waited in each pod.
        refused: The number of requests that all pods refused, as their queues were full.
    """

    load: float
    pods: int
    waiting: float
    refused: float


def capacity(path: Path) -> float:
    """Return the requests/s at which the front or the model host of a pod is always busy."""
    return min(1 / path.front, _MAX_BATCH / (path.batch + _MAX_BATCH * path.row))


def batch(path: Path, rate: float) -> float:
    """Return the requests in a batch: those that arrive while the previous batch is scored."""
    return min(_MAX_BATCH, rate * path.batch / max(1e-9, 1 - rate * path.row))


def waiting(path: Path, rate: float) -> float:
    """Return the mean number of waiting requests in a pod below its capacity: half a batch."""
    return batch(path, rate) / 2


def cpu(path: Path, rate: float) -> float:
    """Return the used share of a pod's two cores."""
    host = rate * (path.batch / max(1.0, batch(path, rate)) + path.row)
    return (min(1.0, host) + min(1.0, rate * path.front)) / 2


def simulate(
    path: Path, scaler: Autoscaler, load: Callable[[int], float], seconds: int
) -> list[Second]:
    """Simulate the pods, which begin with as many as the load needs in its first second.

    Args:
        path: The costs of a prediction in a pod.
        scaler: The settings of the autoscaler.
        load: A function that returns the requests/s in a second of the simulation.
        seconds: The duration in seconds.
    """
    controller = _Controller(scaler)
    ready = max(scaler.least, math.ceil(load(0) / path.rate))
    starting: list[int] = []  # the second in which each starting pod becomes ready
    backlog = 0.0
    seen: list[Second] = []
    for now in range(seconds):
        ready += sum(when <= now for when in starting)
        starting = [when for when in starting if when > now]
        rate = load(now) / ready
        backlog = max(0.0, backlog + rate - capacity(path))
        refused = max(0.0, backlog - _MAX_QUEUE)
        backlog -= refused
        waits = min(_MAX_QUEUE, backlog + waiting(path, min(rate, capacity(path))))
        seen.append(Second(load(now), ready, waits, refused * ready))
        if now % _SYNC_SECONDS == 0:
            scrapes = [one.waiting for one in seen[-_WINDOW_SECONDS::_SYNC_SECONDS]]
            ratios = sum(scrapes) / len(scrapes) / scaler.queue, cpu(path, rate) / scaler.cpu
            change = controller.change(now, ready, ready + len(starting), ratios)
            starting += [now + POD_SECONDS] * change
            ready += min(0, change)
    return seen


class _Controller:
    """The decisions of Kubernetes's autoscaling controller."""

    def __init__(self, scaler: Autoscaler) -> None:
        self._scaler = scaler
        self._goals = deque[tuple[int, int]]()
        self._changes = deque[tuple[int, int]]()

    def change(self, now: int, ready: int, pods: int, ratios: Sequence[float]) -> int:
        """Return how many pods to add; a negative number of pods is to be removed.

        Args:
            now: The time in seconds.
            ready: The number of ready pods.
            pods: The number of ready and starting pods.
            ratios: The ratio of each metric to its target.
        """
        scaler = self._scaler
        asked = [pods if abs(one - 1) <= _TOLERANCE else math.ceil(ready * one) for one in ratios]
        goal = min(scaler.most, max(scaler.least, *asked))
        self._goals.append((now, goal))
        while self._goals[0][0] <= now - scaler.stable:
            self._goals.popleft()
        if goal < pods:  # the highest goal in the stabilization window applies
            goal = min(pods, max(one for _, one in self._goals))
        before = pods - self._changed(now, scaler.up_seconds, up=True)
        highest = max(pods, math.ceil(before * (1 + scaler.up / 100)))
        before = pods - self._changed(now, 60, up=False)
        lowest = min(pods, math.floor(before * (1 - scaler.down / 100)))
        change = max(min(goal, highest), lowest) - pods
        if change:
            self._changes.append((now, change))
        return change

    def _changed(self, now: int, period: int, *, up: bool) -> int:
        """Return the number of pods that were added, or (negative) removed, in the last period."""
        return sum(by for when, by in self._changes if when > now - period and (by > 0) is up)


def ramp(low: float, high: float, *, rises: int, holds: int) -> Callable[[int], float]:
    """Make a load that rises from `low` to `high`, holds, and falls back at once.

    Args:
        low: The requests/s at the beginning and the end.
        high: The highest requests/s.
        rises: The duration of the rise in seconds.
        holds: The duration of the highest load in seconds.
    """

    def load(now: int) -> float:
        if now < rises:
            return low + (high - low) * now / rises
        return high if now < rises + holds else low

    return load
