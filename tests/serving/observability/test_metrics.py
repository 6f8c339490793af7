"""The names that monitors rely on, and the conventions they follow."""

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from cloche.serving.observability.metrics import Metrics

PROMISED = {
    "cloche_requests_total": ("model", "version", "code"),
    "cloche_requests_in_progress": ("model",),
    "cloche_request_duration_seconds": ("model", "version"),
    "cloche_queue_duration_seconds": ("model", "version"),
    "cloche_predict_duration_seconds": ("model", "version"),
    "cloche_rows_total": ("model", "version"),
    "cloche_accelerated_rows_total": ("model", "version"),
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
    "cloche_monitor_alarms": ("model",),
    "cloche_arm_requests_total": ("model", "version", "arm"),
    "cloche_arm_failures_total": ("model", "version", "arm", "reason"),
    "cloche_arm_differences_total": ("model", "version", "arm"),
    "cloche_shadow_dropped_total": ("model", "version", "reason"),
    "cloche_arm_duration_seconds": ("model", "version", "arm"),
    "cloche_canary_fallbacks_total": ("model", "version", "reason"),
    "cloche_log_rows_total": ("model", "version"),
    "cloche_log_dropped_total": ("model", "version", "reason"),
}


def families() -> list[Metric]:
    return list(Metrics().registry.collect())


def exposed_name(metric: Metric) -> str:
    return metric.name + ("_total" if metric.type == "counter" else "")


def label_names(metrics: Metrics, exposed: str) -> tuple[str, ...]:
    """The labels of one metric, found by using them."""
    attribute = next(
        one
        for one in vars(metrics).values()
        if hasattr(one, "labels") and exposed_name(next(iter(one.collect()))) == exposed
    )
    attribute.labels(*PROMISED[exposed])
    (family,) = attribute.collect()
    return tuple(name for name in family.samples[0].labels if name != "le")


def test_exactly_the_promised_metrics_are_exposed_and_follow_the_conventions() -> None:
    assert {exposed_name(one) for one in families()} == set(PROMISED)
    assert all(one.documentation.endswith(".") for one in families())
    durations = [one for one in families() if "duration" in one.name]
    assert all(one.type == "histogram" and one.name.endswith("_seconds") for one in durations)


def test_metrics_have_the_promised_labels() -> None:
    assert {name: label_names(Metrics(), name) for name in PROMISED} == PROMISED


def test_the_counts_of_one_model_are_told_without_those_of_others() -> None:
    metrics = Metrics()
    metrics.count_request("churn", "7", 200, 0.003)
    metrics.count_request("other", "7", 200, 0.003)
    told = metrics.model_counts("churn")
    assert told["requests"] == [{"version": "7", "code": 200, "count": 1}]
    (durations,) = told["durations"]["request"]
    assert (durations["version"], sum(durations["counts"])) == ("7", 1)
    assert len(durations["counts"]) == len(told["bounds"]) + 1


def test_answers_are_counted_by_code_and_time() -> None:
    metrics = Metrics()
    for seconds in (0.0001, 0.003, 0.003, 100.0):
        metrics.count_request("churn", "7", 200, seconds)
    metrics.count_request("churn", "7", 400, 0.01)
    samples = {
        (sample.name, sample.labels.get("code"), sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
    }
    assert samples["cloche_requests_total", "200", None] == 4
    assert samples["cloche_requests_total", "400", None] == 1
    name = "cloche_request_duration_seconds"
    assert samples[f"{name}_bucket", None, "0.00025"] == 1
    assert samples[f"{name}_bucket", None, "0.005"] == 3
    assert samples[f"{name}_bucket", None, "60.0"] == 4
    assert samples[f"{name}_bucket", None, "+Inf"] == samples[f"{name}_count", None, None] == 5
    assert samples[f"{name}_sum", None, None] == 0.0001 + 0.003 * 2 + 100.0 + 0.01
