"""The names that monitors rely on, and the conventions they follow."""

from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from serving.front.metrics import Metrics

PROMISED = {
    "cloche_requests_total": ("model", "version", "code"),
    "cloche_requests_in_progress": ("model",),
    "cloche_request_duration_seconds": ("model", "version"),
    "cloche_queue_duration_seconds": ("model", "version"),
    "cloche_predict_duration_seconds": ("model", "version"),
    "cloche_rows_total": ("model", "version"),
    "cloche_batch_rows": ("model", "version"),
    "cloche_queue_requests": ("model",),
    "cloche_rejected_requests_total": ("model", "reason"),
    "cloche_expired_requests_total": ("model",),
    "cloche_abandoned_requests_total": ("model",),
    "cloche_retried_requests_total": ("model",),
    "cloche_replicas": ("model", "version"),
    "cloche_lost_hosts_total": ("model", "version"),
    "cloche_renewed_hosts_total": ("model", "version"),
    "cloche_swaps_total": ("model", "outcome"),
    "cloche_swap_duration_seconds": ("model",),
    "cloche_registry_age_seconds": ("model",),
}


def metrics() -> list[MetricWrapperBase]:
    return [one for one in vars(Metrics()).values() if isinstance(one, MetricWrapperBase)]


def exposed_name(metric: MetricWrapperBase) -> str:
    return metric._name + ("_total" if isinstance(metric, Counter) else "")


def test_exactly_the_promised_metrics_are_exposed() -> None:
    assert {exposed_name(one): one._labelnames for one in metrics()} == PROMISED


def test_every_metric_explains_itself() -> None:
    assert all(one._documentation.endswith(".") for one in metrics())


def test_durations_are_histograms_in_seconds() -> None:
    durations = [one for one in metrics() if "duration" in one._name]
    assert all(isinstance(one, Histogram) for one in durations)
    assert all(one._name.endswith("_seconds") for one in durations)
