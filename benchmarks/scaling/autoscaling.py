"""Pods under a load that changes, and the autoscaler of deploy/kubernetes: a simulation by seconds.

A pod scores whatever waits as one batch, and meanwhile the next one gathers; so its queue grows
smoothly with its load, long before it is full.
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
_SYNC_SECONDS = 15  # of the controller, and of scrapes
_WINDOW_SECONDS = 60  # of the rule for prometheus-adapter
_TOLERANCE = 0.1
_MAX_BATCH = 512
_MAX_QUEUE = 2048
# Scheduling, with the image on the machine; start; the readiness probe and what routes to the pod.
POD_SECONDS = round(3 + COLD_START_SECONDS + 3)


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """What the manifest says.

    Attributes:
        queue: Requests that may wait in a pod.
        cpu: Share of a pod's two cores that may be used.
        least: Pods.
        most: Pods.
        up: Percent that may be added in a period.
        up_seconds: That period.
        down: Percent that may be taken away in a minute.
        stable: Seconds for which fewer pods must have been enough.
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
    """The autoscaler of a manifest."""
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
    """A second of the simulation.

    Attributes:
        load: Requests that came.
        pods: That were ready.
        waiting: Requests that waited in each pod.
        refused: Requests that found its queue full.
    """

    load: float
    pods: int
    waiting: float
    refused: float


def capacity(path: Path) -> float:
    """Requests/s at which one of a pod's two processes never rests."""
    return min(1 / path.front, _MAX_BATCH / (path.batch + _MAX_BATCH * path.row))


def batch(path: Path, rate: float) -> float:
    """Requests of a batch: as many as come while the one before is scored."""
    return min(_MAX_BATCH, rate * path.batch / max(1e-9, 1 - rate * path.row))


def waiting(path: Path, rate: float) -> float:
    """Requests that wait in a pod on average: half a batch, while it keeps up."""
    return batch(path, rate) / 2


def cpu(path: Path, rate: float) -> float:
    """The share of a pod's two cores that is used."""
    host = rate * (path.batch / max(1.0, batch(path, rate)) + path.row)
    return (min(1.0, host) + min(1.0, rate * path.front)) / 2


def simulate(
    path: Path, scaler: Autoscaler, load: Callable[[int], float], seconds: int
) -> list[Second]:
    """Second by second, from as many pods as the load needs at its beginning.

    Args:
        path: How the pods predict.
        scaler: Who adds and takes away pods.
        load: Requests in a second.
        seconds: How long.
    """
    controller = _Controller(scaler)
    ready = max(scaler.least, math.ceil(load(0) / path.rate))
    starting: list[int] = []  # when each of them will be ready
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
    """What the controller of Kubernetes does each time that it looks."""

    def __init__(self, scaler: Autoscaler) -> None:
        self._scaler = scaler
        self._goals = deque[tuple[int, int]]()
        self._changes = deque[tuple[int, int]]()

    def change(self, now: int, ready: int, pods: int, ratios: Sequence[float]) -> int:
        """How many pods are added, or taken away.

        Args:
            now: In seconds.
            ready: Pods that serve.
            pods: Those and the ones that start.
            ratios: How far each metric lies above its target.
        """
        scaler = self._scaler
        asked = [pods if abs(one - 1) <= _TOLERANCE else math.ceil(ready * one) for one in ratios]
        goal = min(scaler.most, max(scaler.least, *asked))
        self._goals.append((now, goal))
        while self._goals[0][0] <= now - scaler.stable:
            self._goals.popleft()
        if goal < pods:  # the most that was wanted of late
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
        """Pods that were added, or taken away, in the period before."""
        return sum(by for when, by in self._changes if when > now - period and (by > 0) is up)


def ramp(low: float, high: float, *, rises: int, holds: int) -> Callable[[int], float]:
    """A load that rises for a time, holds, and falls at once."""

    def load(now: int) -> float:
        if now < rises:
            return low + (high - low) * now / rises
        return high if now < rises + holds else low

    return load
