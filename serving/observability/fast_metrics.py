"""Counters and histograms for events that happen on every request.

prometheus_client takes a lock and makes several checks for each event, for programs with threads.
The front counts on one thread; these classes give the same metric families when collected.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

Numbers = dict[tuple[str, ...], list[float]]


class Count:
    """One time series of a counter."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self, amount: int = 1) -> None:
        """Add `amount` to the counter."""
        self.value += amount

    @property
    def numbers(self) -> list[float]:
        """The count, in a list as a histogram's numbers are."""
        return [self.value]

    def add(self, numbers: Sequence[float]) -> None:
        """Add what another process has counted."""
        self.value += int(numbers[0])


class Distribution:
    """One time series of a histogram."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add one `value` to the histogram."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def numbers(self) -> list[float]:
        """The counts by bucket, and the sum of the observed values."""
        return [*self.counts, self.total]

    def add(self, numbers: Sequence[float]) -> None:
        """Add what another process has counted."""
        *counts, total = numbers
        self.counts = [mine + int(other) for mine, other in zip(self.counts, counts, strict=True)]
        self.total += total


class FastCounter(Collector):
    """A counter with labels."""

    def __init__(
        self, name: str, help_text: str, labels: Sequence[str], *, registry: CollectorRegistry
    ) -> None:
        self._family = name, help_text, labels
        self._series: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def labels(self, *values: str, **named: str) -> Count:
        """The time series with these label values, given in order or by name."""
        return self._series.setdefault(values or _in_order(self._family[2], named), Count())

    def numbers(self) -> Numbers:
        """The numbers of all time series, by their label values."""
        return {values: count.numbers for values, count in self._series.items()}

    def with_first_label(self, first: str) -> dict[tuple[str, ...], int]:
        """The counts of the series whose first label is `first`, by their other labels."""
        return {values[1:]: c.value for values, c in self._series.items() if values[0] == first}

    def collect(self) -> Iterable[Metric]:
        """The metric family that Prometheus reads."""
        name, help_text, labels = self._family
        family = CounterMetricFamily(name, help_text, labels=labels)
        for values, count in self._series.items():
            family.add_metric(values, count.value)
        return [family]


class FastHistogram(Collector):
    """A histogram with labels; `buckets` are upper bounds in ascending order."""

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._family = name, help_text, labels
        self._bounds = list(buckets)
        self._series: dict[tuple[str, ...], Distribution] = {}
        registry.register(self)

    def labels(self, *values: str, **named: str) -> Distribution:
        """The time series with these label values, given in order or by name."""
        key = values or _in_order(self._family[2], named)
        return self._series.setdefault(key, Distribution(self._bounds))

    def numbers(self) -> Numbers:
        """The numbers of all time series, by their label values."""
        return {values: found.numbers for values, found in self._series.items()}

    def with_first_label(self, first: str) -> dict[tuple[str, ...], list[int]]:
        """The counts by bucket of the series whose first label is `first`, by the other labels."""
        return {values[1:]: d.counts for values, d in self._series.items() if values[0] == first}

    def collect(self) -> Iterable[Metric]:
        """The metric family that Prometheus reads."""
        name, help_text, labels = self._family
        family = HistogramMetricFamily(name, help_text, labels=labels)
        bounds: list[Any] = [*map(floatToGoString, self._bounds), "+Inf"]
        for values, found in self._series.items():
            buckets = list(zip(bounds, accumulate(found.counts), strict=True))
            family.add_metric(values, buckets, found.total)
        return [family]


def _in_order(labels: Sequence[str], named: dict[str, str]) -> tuple[str, ...]:
    return tuple(named[label] for label in labels)
