"""Adds up the counts of a server's workers in the metrics of their parent.

A worker sends what it has counted since it started, and its parent adds what is new: so the sums
never fall, also when a worker ends and another one begins at zero.
"""

from typing import Any

from cloche.serving.observability.fast_metrics import FastCounter, FastHistogram
from cloche.serving.observability.metrics import Metrics

_COUNTED = (FastCounter, FastHistogram)


def collect_counts(metrics: Metrics) -> dict[str, Any]:
    """The counts of a worker, and its replicas by version, as JSON values."""
    counts = {
        name: [[list(labels), numbers] for labels, numbers in one.numbers().items()]
        for name, one in vars(metrics).items()
        if isinstance(one, _COUNTED)
    }
    replicas = [[*labels, count] for labels, count in metrics.replica_counts().items()]
    return {"counts": counts, "replicas": replicas}


class WorkerCounts:
    """The counts of one worker as far as they were added to the sums."""

    def __init__(self) -> None:
        self.replicas: list[tuple[str, str, float]] = []
        self._added: dict[tuple[str, ...], list[float]] = {}

    def update(self, sums: Metrics, now: dict[str, Any]) -> None:
        """Add to `sums` what the worker has counted since the last update."""
        self.replicas = [tuple(one) for one in now["replicas"]]
        for name, series in now["counts"].items():
            metric: FastCounter | FastHistogram = getattr(sums, name)
            for labels, numbers in series:
                key = (name, *labels)
                before = self._added.get(key, [0.0] * len(numbers))
                self._added[key] = numbers
                metric.labels(*labels).add([a - b for a, b in zip(numbers, before, strict=True)])
