"""A stand-in for Prometheus: it scrapes what a server's /metrics says, and answers three queries.

`test_prometheus.py` asks the real one the same, where it is installed.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cloche.serving.observability.metrics import Metrics
from tests.broken_servers import answering

_MATCHER = re.compile(r'(\w+)(=~|=)("(?:[^"\\]|\\.)*")')
_STALE_SECONDS = 300.0


@dataclass
class Scraped:
    """The samples of a Prometheus.

    Attributes:
        series: Times and values by labels.
        queries: What was asked.
    """

    series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = field(
        default_factory=dict
    )
    queries: list[str] = field(default_factory=list)

    def scrape(self, metrics: Metrics, instance: str, at: float) -> None:
        """Take what a server says at a time."""
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
            for one in family.samples:
                labels = {"__name__": one.name, "instance": instance, **one.labels}
                self.series.setdefault(tuple(sorted(labels.items())), []).append((at, one.value))

    def answer(self, handler: Any, body: bytes) -> None:
        """Answer a query as `/api/v1/query` does."""
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        query, at = asked["query"], float(asked["time"])
        self.queries.append(query)
        result = self._result(query, at)
        kind = "matrix" if result and "values" in result[0] else "vector"
        told = {"status": "success", "data": {"resultType": kind, "result": result}}
        handler.reply(200, json.dumps(told).encode(), "application/json")

    def _result(self, query: str, at: float) -> list[dict[str, Any]]:
        if query == "vector(1)":
            return [{"metric": {}, "value": [at, "1"]}]
        if query.startswith("sum by (le) ("):
            sums: dict[str, float] = {}
            for labels, samples in self._matching(query, at - _STALE_SECONDS, at):
                sums[labels["le"]] = sums.get(labels["le"], 0.0) + samples[-1][1]
            return [{"metric": {"le": le}, "value": [at, str(value)]} for le, value in sums.items()]
        seconds = {"1d": 86400.0}.get(query.rpartition("[")[2].strip("])"))
        if query.startswith("last_over_time("):
            assert seconds is not None
            found = self._matching(query, at - seconds, at)
            return [{"metric": labels, "value": [at, str(s[-1][1])]} for labels, s in found]
        seconds = float(query.rpartition("[")[2].strip("s]"))
        return [
            {"metric": labels, "values": [[time, str(value)] for time, value in samples]}
            for labels, samples in self._matching(query, at - seconds, at)
        ]

    def _matching(
        self, query: str, after: float, until: float
    ) -> Iterator[tuple[dict[str, str], list[tuple[float, float]]]]:
        name = re.match(r"(?:sum by \(le\) \()?([a-z_]+)\{", query)
        matchers = [("__name__", "=", json.dumps(name[1]))] if name else []
        matchers += _MATCHER.findall(query)
        for key, samples in self.series.items():
            labels = dict(key)
            fits = all(
                re.fullmatch(json.loads(value) if sign == "=~" else re.escape(json.loads(value)),
                             labels.get(label, ""))
                for label, sign, value in matchers
            )  # fmt: skip
            within = [one for one in samples if after < one[0] <= until]
            if fits and within:
                yield labels, within


@contextmanager
def prometheus() -> Iterator[tuple[str, Scraped]]:
    """The address of a stand-in, and what it has scraped."""
    scraped = Scraped()
    with answering(scraped.answer) as url:
        yield url, scraped
