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
    ready = max(scaler.least, math.ceil(load(0) / path.rate))
    starting: list[int] = []  # when each of them will be ready
    backlog, wanted = 0.0, deque[tuple[int, int]]()
    changes = deque[tuple[int, int]]()  # of the last minute, for the policies
    seen: list[Second] = []
    for now in range(seconds):
        ready += sum(when <= now for when in starting)
        starting = [when for when in starting if when > now]
        rate = load(now) / ready
        backlog = max(0.0, backlog + rate - capacity(path))
        waits = min(_MAX_QUEUE, backlog + waiting(path, min(rate, capacity(path))))
        refused = max(0.0, backlog - _MAX_QUEUE)
        backlog -= refused
        seen.append(Second(load(now), ready, waits, refused * ready))
        if now % _SYNC_SECONDS == 0:
            pods = ready + len(starting)
            goal = _wanted(path, scaler, seen, pods, rate)
            change = _change(scaler, pods, goal, now, wanted, changes)
            if change > 0:
                starting += [now + POD_SECONDS] * change
            elif change < 0:
                ready = max(scaler.least, ready + change)
    return seen


def _wanted(path: Path, scaler: Autoscaler, seen: Sequence[Second], pods: int, rate: float) -> int:
    """What the controller computes: the most that one of its metrics asks for."""
    scrapes = [one.waiting for one in seen[-_WINDOW_SECONDS::_SYNC_SECONDS]]
    mean = sum(scrapes) / len(scrapes)
    goals = []
    for ratio in (mean / scaler.queue, cpu(path, rate) / scaler.cpu):
        goals.append(pods if abs(ratio - 1) <= _TOLERANCE else math.ceil(seen[-1].pods * ratio))
    return min(scaler.most, max(scaler.least, *goals))


def _change(
    scaler: Autoscaler, pods: int, goal: int, now: int,
    wanted: deque[tuple[int, int]], changes: deque[tuple[int, int]],
) -> int:  # fmt: skip
    """How many pods are added, or taken away, after stabilization and policies."""
    wanted.append((now, goal))
    while wanted[0][0] <= now - scaler.stable:
        wanted.popleft()
    while changes and changes[0][0] <= now - 60:
        changes.popleft()
    if goal < pods:  # the most that was wanted of late
        goal = min(pods, max(one for _, one in wanted))
    added = sum(max(0, by) for when, by in changes if when > now - scaler.up_seconds)
    taken = sum(max(0, -by) for _, by in changes)
    highest = math.ceil((pods - added) * (1 + scaler.up / 100))
    lowest = math.floor((pods + taken) * (1 - scaler.down / 100))
    change = max(min(goal, max(pods, highest)), min(pods, lowest)) - pods
    if change:
        changes.append((now, change))
    return change


def ramp(low: float, high: float, *, rises: int, holds: int) -> Callable[[int], float]:
    """A load that rises for a time, holds, and falls at once."""

    def load(now: int) -> float:
        if now < rises:
            return low + (high - low) * now / rises
        return high if now < rises + holds else low

    return load
