"""Estimates that follow from the measurements by multiplication and division."""

import math
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import generate_latest

from benchmarks.scaling.measured import LOOKUP_SECONDS, Path
from cloche.serving.dispatch.poll_policy import PollPace
from cloche.serving.observability.metrics import Metrics

USED: Final = 0.6
"""The planned utilization, as a share of a pod's capacity.

The rest is a reserve for the swap of a version, which takes a quarter of a pod for some seconds,
for a lost machine, and for the time until new pods are ready.
"""

CORES_OF_A_POD: Final = 2


@dataclass(frozen=True, slots=True)
class Fleet:
    """The pods for a load, and the load that they put on other systems.

    Attributes:
        pods: The number of pods, at least two.
        looks: The lookups of an alias per second.
        registries: The cores of MLflow servers that the lookups need.
        series: The time series in Prometheus.
    """

    pods: int
    looks: float
    registries: float
    series: int


def fleet(path: Path, rate: float) -> Fleet:
    """Return the pods for `rate` requests/s that poll the registry every two seconds."""
    pods = max(2, math.ceil(rate / (path.rate * USED)))
    looks = pods / pause(2.0)
    return Fleet(pods, looks, looks * LOOKUP_SECONDS, pods * series())


def pause(interval: float) -> float:
    """Return the mean seconds between two polls of a registry that answers quickly."""
    return PollPace().pause(interval, jitter=0.5)


def servers(interval: float) -> int:
    """Return how many servers with this poll interval one core of an MLflow server can answer."""
    return math.floor(pause(interval) / LOOKUP_SECONDS)


def series() -> int:
    """Return the number of time series of a pod that serves one version and answered only 200."""
    metrics, model, version = Metrics(), "m", "1"
    metrics.count_request(model, version, 200, 0.001)
    metrics.set_gauges(model, registry_age=0, in_progress=0, waiting=0)
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
    """Return the seconds until all pods have downloaded a version through one link.

    Args:
        mebibytes: The size of the version in MiB.
        pods: The number of pods.
        gigabits: The bandwidth of the link in Gbit/s.
    """
    return pods * mebibytes * 8 * 1024 * 1024 / (gigabits * 1e9)
