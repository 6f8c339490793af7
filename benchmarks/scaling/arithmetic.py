"""What follows from the measurements by division and multiplication."""

import math
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import generate_latest

from benchmarks.scaling.measured import LOOKUP_SECONDS, Path
from cloche.serving.dispatch.poll_policy import Pace
from cloche.serving.observability.metrics import Metrics

USED: Final = 0.6
"""Share of what a pod can do that is planned with.

The rest is for the swap of a version, which takes a quarter of it for some seconds, for a lost
machine, and until new pods are there.
"""

CORES_OF_A_POD: Final = 2


@dataclass(frozen=True, slots=True)
class Fleet:
    """The pods for a load, and what they ask of others.

    Attributes:
        pods: At least two.
        looks: At an alias, each second.
        registries: Cores of MLflow servers that answer them.
        series: In Prometheus.
    """

    pods: int
    looks: float
    registries: float
    series: int


def fleet(path: Path, rate: float, interval: float = 2.0) -> Fleet:
    """The pods for `rate` requests/s that look at the registry every `interval` seconds."""
    pods = max(2, math.ceil(rate / (path.rate * USED)))
    looks = pods / pause(interval)
    return Fleet(pods, looks, looks * LOOKUP_SECONDS, pods * series())


def pause(interval: float) -> float:
    """Seconds between two looks on average, while the registry is quick."""
    return Pace().pause(interval, draw=0.5)


def servers(interval: float) -> int:
    """How many servers one core of an MLflow server answers at their interval."""
    return math.floor(pause(interval) / LOOKUP_SECONDS)


def series() -> int:
    """Time series of one pod that serves one version, and has answered 200 only."""
    metrics, model, version = Metrics(), "m", "1"
    metrics.answered(model, version, 200, 0.001)
    metrics.looked(model, registry_age=0, in_progress=0, waiting=0)
    of_versions: list[Any] = [
        metrics.rows, metrics.accelerated_rows, metrics.replicas, metrics.hosts_lost,
        metrics.hosts_renewed, metrics.queue_seconds, metrics.predict_seconds, metrics.batch_rows,
    ]  # fmt: skip
    of_models: list[Any] = [
        metrics.expired, metrics.abandoned, metrics.retries, metrics.swap_seconds,
    ]  # fmt: skip
    for one in of_versions:
        one.labels(model, version)
    for one in of_models:
        one.labels(model)
    metrics.swaps.labels(model, "done")
    lines = generate_latest(metrics.registry).decode().splitlines()
    return sum(not line.startswith("#") for line in lines)


def wave(mebibytes: float, pods: int, gigabits: float) -> float:
    """Seconds until all pods have fetched a version, through one link of so many Gbit/s."""
    return pods * mebibytes * 8 * 1024 * 1024 / (gigabits * 1e9)
