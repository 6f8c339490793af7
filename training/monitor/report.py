"""Renders a monitoring for people: a plot over the days, and one HTML file by itself."""

import base64
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import Any

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from cloche.templates import template

INK, SOFT, WARN = "#1f2937", "#9ca3af", "#b3261e"
_DAY = timedelta(days=1)
_COLORS = ("#0f766e", "#9a6700", "#4338ca", "#be185d", "#0369a1")
_MOST_DRIFT = 12


def render(document: Mapping[str, Any], plot: bytes) -> str:
    """Render the report, with the plot of `quality_plot`."""
    page = template("cloche.training.monitor", "report.html.jinja", number=_number, share=_share)
    return page.render(
        found=document,
        open=[alarm for alarm in document["alarms"] if alarm["open"]],
        over=[alarm for alarm in document["alarms"] if not alarm["open"]],
        drift={one["version"]: worst_drift(one) for one in document["versions"]},
        plot=base64.b64encode(plot).decode(),
    )


def worst_drift(version: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return for each column and score its worst day, the worst column first."""
    worst: dict[str, dict[str, Any]] = {}
    for row in version["drift"]:
        if row["name"] not in worst or row["share"] > worst[row["name"]]["share"]:
            worst[row["name"]] = row
    return sorted(worst.values(), key=lambda row: -row["share"])[:_MOST_DRIFT]


def quality_plot(document: Mapping[str, Any]) -> bytes:
    """Draw the judged metric of each version by day, and below it the coverage; as PNG."""
    figure = Figure(figsize=(9.0, 5.2), layout="constrained", dpi=120)
    quality, coverage = figure.subplots(2, sharex=True, height_ratios=[4, 1])
    for one, color in zip(document["versions"], _COLORS * len(document["versions"]), strict=False):
        _draw_version(quality, coverage, one, color)
    for alarm in document["alarms"]:
        for day in alarm["days"]:
            quality.axvspan(*_around(day), color=WARN, alpha=0.10, linewidth=0)
    first, last = (_time(document[key]) for key in ("first_day", "last_day"))
    for promotion in document["promotions"]:
        at = datetime.fromisoformat(promotion["at"]).replace(tzinfo=None)
        if first <= at < last + _DAY:
            quality.axvline(at, color=INK, linewidth=1, linestyle=":")
            quality.annotate(
                f" version {promotion['version']} promoted", (at, 1), va="top", color=INK,
                xycoords=("data", "axes fraction"), fontsize="small",
            )  # fmt: skip
    metrics = sorted({one["metric"] for one in document["versions"] if one["metric"]})
    quality.set(ylabel=", ".join(metrics) or "no metric")
    coverage.set(xlim=(first - _DAY, last + _DAY))  # else one day alone spans years
    coverage.set(ylabel="labelled", ylim=(0, 1.05), yticks=[0, 1], yticklabels=["0 %", "100 %"])
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    coverage.xaxis.set(major_locator=locator, major_formatter=ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    for axes in (quality, coverage):
        axes.spines[["top", "right"]].set_visible(False)
    if quality.get_legend_handles_labels()[0]:
        quality.legend(fontsize="small", frameon=False, ncols=2)
    quality.set_title(document["model"], loc="left", color=INK, fontweight="bold")
    image = BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _draw_version(quality: Any, coverage: Any, one: Mapping[str, Any], color: str) -> None:
    metric, band, name = one["metric"], one["holdout_days"], f"version {one['version']}"
    times = [_time(day["day"]) for day in one["days"]]
    coverage.plot(
        times, [day["labelled"] / day["rows"] for day in one["days"]], color=color, marker="."
    )
    if band["low"] is not None:
        ends = [min(times), max(times)]
        quality.fill_between(
            ends, band["low"], band["high"], color=color, alpha=0.10, linewidth=0,
            label=f"{name}: 95 % of the holdout's days",
        )  # fmt: skip
    for finished, marker, label in ((True, "o", name), (False, "x", f"{name}, unfinished")):
        days = [
            day for day in one["days"]
            if (day["unfinished"] is None) is finished
            and day["metrics"].get(metric, {}).get("value") is not None
        ]  # fmt: skip
        if not days:
            continue
        values = [day["metrics"][metric] for day in days]
        errors = [_errors(value) for value in values]
        quality.errorbar(
            [_time(day["day"]) for day in days], [v["value"] for v in values],
            yerr=list(zip(*errors, strict=True)),
            color=color if finished else SOFT, marker=marker, markersize=4, linewidth=1.2,
            elinewidth=0.7, label=label, linestyle="-" if finished else "",
        )  # fmt: skip
    estimated = [
        day for day in one["days"] if day["estimate"] and day["estimate"]["value"] is not None
    ]
    if estimated:
        quality.plot(
            [_time(day["day"]) for day in estimated], [d["estimate"]["value"] for d in estimated],
            color=color, linestyle="--", linewidth=0.9, label=f"{name}: estimated without labels",
        )  # fmt: skip


def _errors(found: Mapping[str, float | None]) -> tuple[float, float]:
    """Return the distances of the interval's ends from the value; 0 without an interval."""
    value, low, high = (found[name] for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return 0.0, 0.0
    return max(value - low, 0.0), max(high - value, 0.0)


def _around(day: str) -> tuple[Any, Any]:
    at = date.fromisoformat(day).toordinal() - date(1970, 1, 1).toordinal()
    return at - 0.5, at + 0.5


def _time(day: str) -> datetime:
    return datetime.fromisoformat(day)


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _share(value: float) -> str:
    return f"{value:.1%}"
