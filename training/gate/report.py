"""Renders the evidence for people, as one HTML file without external resources."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from math import nan
from typing import Any

from cloche.templates import template
from cloche.training.recipe.criteria.floors import reaches

# Width on which positions are computed; the page scales it.
WIDTH = 400.0

# Most bars of one chart; the table of the run contains all slices.
MOST_BARS = 30


@dataclass(frozen=True)
class GainRow:
    """One metric's difference, drawn around zero on its own scale; positions are 0 to `WIDTH`.

    Attributes:
        metric: Name of the metric.
        difference: Numbers of the difference, as in the evidence.
        low: Position where the interval starts.
        high: Position where the interval ends.
        gain: Position of the gain.
        zero: Position of zero, which means no difference.
        margin: Position of the largest loss that is accepted; None for metrics that are not a
            criterion.
        bound: Position of the one-sided bound that the criterion checks; None for metrics that are
            not a criterion.
        refused: Whether the bound lies beyond the margin.
    """

    metric: str
    difference: Mapping[str, float]
    low: float
    high: float
    gain: float
    zero: float
    margin: float | None
    bound: float | None
    refused: bool


@dataclass(frozen=True)
class Bar:
    """The bar of one slice; positions are 0 to `WIDTH`.

    Attributes:
        value: Common value of the slice's rows.
        rows: Number of rows.
        score: Value of the metric; None if it is not defined.
        length: Length of the bar.
        judged: Whether the slice is large enough for the criterion.
        low: Whether the metric misses the floor.
    """

    value: str
    rows: int
    score: float | None
    length: float
    judged: bool
    low: bool


@dataclass(frozen=True)
class Chart:
    """The chart of the slices by one column.

    Attributes:
        column: Name of the column.
        metric: Metric that the bars show.
        floor: Position of the required minimum; None if the column has no criterion.
        minimum: The required minimum itself; None if the column has no criterion.
        bars: Bars of the largest slices.
        more: Number of slices that are not drawn.
    """

    column: str
    metric: str
    floor: float | None
    minimum: float | None
    bars: tuple[Bar, ...]
    more: int


def render(document: Mapping[str, Any]) -> str:
    """Render the report."""
    page = template("cloche.training.gate", "report.html.jinja", number=_number)
    return page.render(
        evidence=document,
        gains=gain_rows(document),
        charts=charts(document),
        failed=[v for v in document["verdicts"] if v["result"] == "failed"],
        width=WIDTH,
    )


def gain_rows(document: Mapping[str, Any]) -> list[GainRow]:
    """Return the differences that can be drawn, in the order of the metrics."""
    criterion = document["policy"]["gate"].get("not_worse") or {}
    compared = document["metric"] if criterion else None
    rows = []
    for metric, difference in document["differences"].items():
        if any(difference[end] is None for end in ("low", "high", "gain", "bound")):
            continue
        margin = criterion["margin"] if metric == compared else None
        reach = max(abs(difference["low"]), abs(difference["high"]), margin or 0.0, 1e-9) * 1.15

        def position(value: float, reach: float = reach) -> float:
            return WIDTH * (value + reach) / (2 * reach)

        rows.append(
            GainRow(
                metric,
                difference,
                position(difference["low"]),
                position(difference["high"]),
                position(difference["gain"]),
                position(0.0),
                None if margin is None else position(-margin),
                None if margin is None else position(difference["bound"]),
                margin is not None and difference["bound"] < -margin,
            )
        )
    return rows


def charts(document: Mapping[str, Any]) -> list[Chart]:
    """Return one chart for each criterion on slices, and one for each column that has none."""
    floors = document["policy"]["gate"].get("slices", ())
    drawn = []
    for column, grouped in groupby(document["slices"], key=lambda part: str(part["column"])):
        parts = list(grouped)
        criteria = [floor for floor in floors if floor["column"] == column]
        for floor in criteria or [None]:
            metric = floor["metric"] if floor else document["metric"]
            drawn.append(_chart(column, metric, floor, parts))
    return drawn


def _chart(
    column: str, metric: str, floor: Mapping[str, Any] | None, parts: list[Mapping[str, Any]]
) -> Chart:
    shown = parts[:MOST_BARS]
    scores = [part["scores"].get(metric) for part in shown]
    minimum = floor["minimum"] if floor else None
    known = [abs(score) for score in scores if score is not None]
    longest = max([*known, abs(minimum or 0.0), 1e-9])
    bars = tuple(
        Bar(
            part["value"],
            part["rows"],
            score,
            WIDTH * max(score or 0.0, 0.0) / longest,
            floor is not None and part["rows"] >= floor["min_rows"],
            minimum is not None and not reaches(metric, nan if score is None else score, minimum),
        )
        for part, score in zip(shown, scores, strict=True)
    )
    place = None if minimum is None else WIDTH * max(minimum, 0.0) / longest
    return Chart(column, metric, place, minimum, bars, len(parts) - len(shown))


def _number(value: float | None, digits: int = 4) -> str:
    return "undefined" if value is None else f"{value:,.{digits}f}"
