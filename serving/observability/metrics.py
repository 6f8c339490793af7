"""All metrics of the server: their names, labels and help texts.

Names follow the conventions of Prometheus: base units, `_total`, `_seconds`; labels are `model`,
`version` and a few bounded others.
"""

from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from cloche.serving.observability.fast_metrics import (
    Count,
    Distribution,
    FastCounter,
    FastHistogram,
)
from cloche.serving.processes.frames import LogCounts

_SECONDS = (
    .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60
)  # fmt: skip
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
_SWAP_SECONDS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

_MODEL = ("model",)
_VERSION = ("model", "version")
_ARM = (*_VERSION, "arm")


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._request_series: dict[tuple[str, str, int], tuple[Count, Distribution]] = {}
        self._replicas: dict[tuple[str, str], dict[object, int]] = {}  # by version and pool
        self.requests = FastCounter(
            "cloche_requests",
            "Prediction requests by status code.",
            (*_VERSION, "code"),
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "cloche_requests_in_progress", "Prediction requests that are not answered yet.",
            _MODEL,
            registry=self.registry,
        )  # fmt: skip
        self.request_seconds = FastHistogram(
            "cloche_request_duration_seconds", "From a request's headers to its answer.",
            _VERSION,
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.queue_seconds = FastHistogram(
            "cloche_queue_duration_seconds", "What a request waited for a replica.", _VERSION,
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.predict_seconds = FastHistogram(
            "cloche_predict_duration_seconds", "What the model took for one batch.", _VERSION,
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.rows = FastCounter(
            "cloche_rows", "Rows that were scored.", _VERSION, registry=self.registry
        )
        self.accelerated_rows = FastCounter(
            "cloche_accelerated_rows",
            "Rows of those that the accelerated twin answered.",
            _VERSION,
            registry=self.registry,
        )
        self.batch_rows = FastHistogram(
            "cloche_batch_rows",
            "Rows of one batch.",
            _VERSION,
            buckets=_ROWS,
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "cloche_queue_requests",
            "Requests that wait for a replica.",
            _MODEL,
            registry=self.registry,
        )
        self.rejected = FastCounter(
            "cloche_rejected_requests", "Requests that were refused unqueued.",
            (*_MODEL, "reason"),
            registry=self.registry,
        )  # fmt: skip
        self.expired = FastCounter(
            "cloche_expired_requests",
            "Requests that were answered 504: they, or the model, took longer than they may.",
            _MODEL,
            registry=self.registry,
        )
        self.abandoned = FastCounter(
            "cloche_abandoned_requests", "Requests whose client left before the answer.", _MODEL,
            registry=self.registry,
        )  # fmt: skip
        self.retries = FastCounter(
            "cloche_retried_requests",
            "Requests that were given to a second host.",
            _MODEL,
            registry=self.registry,
        )
        self.replicas = Gauge(
            "cloche_replicas",
            "Model hosts that are loaded and warm.",
            _VERSION,
            registry=self.registry,
        )
        self.hosts_lost = FastCounter(
            "cloche_lost_hosts", "Model hosts that died, hung or broke the protocol.", _VERSION,
            registry=self.registry,
        )  # fmt: skip
        self.hosts_renewed = FastCounter(
            "cloche_renewed_hosts", "Model hosts that outgrew their memory limit.", _VERSION,
            registry=self.registry,
        )  # fmt: skip
        self.swaps = FastCounter(
            "cloche_swaps", "Attempts to serve another version, by outcome.", (*_MODEL, "outcome"),
            registry=self.registry,
        )  # fmt: skip
        self.swap_seconds = FastHistogram(
            "cloche_swap_duration_seconds", "From a new target seen to its first request.",
            _MODEL,
            buckets=_SWAP_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.registry_age = Gauge(
            "cloche_registry_age_seconds", "Seconds since the registry was last read.", _MODEL,
            registry=self.registry,
        )  # fmt: skip
        self.monitor_alarms = Gauge(
            "cloche_monitor_alarms", "Alarms of the last monitoring that go on.", _MODEL,
            registry=self.registry,
        )  # fmt: skip

        self.arm_requests = FastCounter(
            "cloche_arm_requests",
            "Prediction requests of each arm, while the model has a canary or a shadow.",
            _ARM,
            registry=self.registry,
        )
        self.arm_failures = FastCounter(
            "cloche_arm_failures",
            "Requests of an arm that its version failed; a canary's were answered by production.",
            (*_ARM, "reason"),
            registry=self.registry,
        )
        self.arm_seconds = FastHistogram(
            "cloche_arm_duration_seconds", "From a request's queue to the answer of its arm.", _ARM,
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.arm_differences = FastCounter(
            "cloche_arm_differences",
            "Requests that an arm answered otherwise than production; baseline: production itself.",
            _ARM,
            registry=self.registry,
        )
        self.shadow_dropped = FastCounter(
            "cloche_shadow_dropped",
            "Copies of requests that the shadow did not get, by reason.",
            (*_VERSION, "reason"),
            registry=self.registry,
        )
        self.canary_fallbacks = FastCounter(
            "cloche_canary_fallbacks",
            "Requests of a canary's callers that production answered, by reason.",
            (*_VERSION, "reason"),
            registry=self.registry,
        )
        self.logged_rows = FastCounter(
            "cloche_log_rows", "Rows of the prediction log that were written.", _VERSION,
            registry=self.registry,
        )  # fmt: skip
        self.log_dropped = FastCounter(
            "cloche_log_dropped",
            "Rows of the prediction log that were dropped, by reason.",
            (*_VERSION, "reason"),
            registry=self.registry,
        )

    def count_logged(self, model: str, version: str, counted: LogCounts) -> None:
        """Count rows of the prediction log."""
        if counted.logged:
            self.logged_rows.labels(model, version).inc(counted.logged)
        for reason, rows in zip(counted._fields[1:], counted[1:], strict=True):
            if rows:
                self.log_dropped.labels(model, version, reason.replace("_", " ")).inc(rows)

    def count_request(self, model: str, version: str, status: int, seconds: float) -> None:
        """Count one prediction request that was answered."""
        key = (model, version, status)
        found = self._request_series.get(key)
        if found is None:  # looking labels up costs more than counting
            found = self._request_series[key] = (
                self.requests.labels(model, version, str(status)),
                self.request_seconds.labels(model, version),
            )
        count, duration = found
        count.inc()
        duration.observe(seconds)

    def replica_counts(self) -> dict[tuple[str, str], int]:
        """The number of replicas by model and version."""
        (family,) = self.replicas.collect()
        return {
            (one.labels["model"], one.labels["version"]): int(one.value) for one in family.samples
        }

    def model_counts(self, model: str) -> dict[str, Any]:
        """The counts of one model since the server started, as data for charts.

        Durations are counts by bucket; the last bucket has no upper bound.
        """
        return {
            "bounds": _SECONDS,
            "requests": [
                {"version": version, "code": int(code), "count": count}
                for (version, code), count in self.requests.with_first_label(model).items()
            ],
            "durations": {
                name: [
                    {"version": v, "counts": counts}
                    for (v,), counts in tally.with_first_label(model).items()
                ]
                for name, tally in (
                    ("request", self.request_seconds),
                    ("predict", self.predict_seconds),
                )
            },
            "rows": sum(self.rows.with_first_label(model).values()),
        }

    def set_gauges(
        self, model: str, *, registry_age: float, in_progress: int, waiting: int
    ) -> None:
        """Set the gauges whose values are needed only when metrics are collected."""
        self.registry_age.labels(model).set(registry_age)
        self.in_progress.labels(model).set(in_progress)
        self.queue_depth.labels(model).set(waiting)

    def set_alarms(self, model: str, count: int | None) -> None:
        """Set the number of alarms that go on; a model that was not monitored has no gauge."""
        if count is None:
            self.monitor_alarms.remove(model)
        else:
            self.monitor_alarms.labels(model).set(count)

    def set_replicas(self, pool: object, model: str, version: str, count: int | None) -> None:
        """Set the number of replicas of a version pool; None when it is closed.

        The pools of a version, for instance a stage of two models, are added up. A version without
        a pool has no gauge; its counters stay.
        """
        pools = self._replicas.setdefault((model, version), {})
        if count is None:
            pools.pop(pool, None)
        else:
            pools[pool] = count
        if pools:
            self.replicas.labels(model, version).set(sum(pools.values()))
        else:
            del self._replicas[model, version]
            self.replicas.remove(model, version)
