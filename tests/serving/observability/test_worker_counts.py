"""Counts of workers that come and go, in one sum."""

import json

from prometheus_client import generate_latest

from cloche.serving.observability.metrics import Metrics
from cloche.serving.observability.worker_counts import WorkerCounts, collect_counts


def told(metrics: Metrics) -> dict[str, object]:
    """What a worker says, as its parent reads it."""
    found: dict[str, object] = json.loads(json.dumps(collect_counts(metrics)))
    return found


def test_the_sum_of_two_workers_is_what_one_process_would_have_counted() -> None:
    alone, sums, workers = Metrics(), Metrics(), (Metrics(), Metrics())
    for number, seconds in enumerate((0.001, 0.2, 0.03, 7.0)):
        for metrics in (alone, workers[number % 2]):
            metrics.count_request("m", "1", 200 + number % 3, seconds)
            metrics.rows.labels("m", "1").inc(number)
    counts = [WorkerCounts() for _ in workers]
    for _ in range(2):  # what was added is not added again
        for one, metrics in zip(counts, workers, strict=True):
            one.update(sums, told(metrics))
    assert sorted(generate_latest(sums.registry).splitlines()) == sorted(
        generate_latest(alone.registry).splitlines()
    )


def test_the_sum_does_not_fall_when_a_worker_begins_at_zero() -> None:
    sums, first, second = Metrics(), Metrics(), Metrics()
    first.rows.labels("m", "1").inc(5)
    second.rows.labels("m", "1").inc(2)
    WorkerCounts().update(sums, told(first))
    WorkerCounts().update(sums, told(second))
    assert sums.rows.labels("m", "1").value == 7
