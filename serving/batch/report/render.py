"""Renders the report of a job, as a JSON document and as a self-contained HTML page."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cloche.drift.comparison import compare, drifted
from cloche.templates import template

if TYPE_CHECKING:
    from jinja2 import Template

SCHEMA = 1
_MOST_SEGMENTS = 12
_MOST_INPUTS = 5
_MOST_NAMED = 3
_MEASURES = {
    "psi": "distribution (PSI)", "shift": "mean (standard deviations)",
    "outside": "new or outside (share)", "missing": "missing (share)",
}  # fmt: skip


def prepare() -> None:
    """Import what reports need, and compile their template, while workers load the version."""
    import_module("scipy.special")
    _page()


def document(
    record: Mapping[str, Any], statistics: Mapping[str, Any], profile: Mapping[str, Any]
) -> dict[str, Any]:
    """Build the report of a finished job."""
    return {
        "schema": SCHEMA,
        "model": {
            key: record["job"]["model"][key]
            for key in ("name", "version", "run_id", "stages")
            if key in record["job"]["model"]
        },
        "inputs": sorted(record["job"]["inputs"])[:_MOST_INPUTS],
        "input_count": len(record["job"]["inputs"]),
        "rows": record["rows"],
        "scored": record["scored"],
        "refused": record["refused"],
        "predictors": record["predictors"],
        "reasons": dict(sorted(record["reasons"].items(), key=lambda one: -one[1])),
        "nulled": record.get("nulled", {}),  # manifests of older releases lack it
        "sampled": statistics.get("sampled", 0),
        "profiled": bool(profile),
        **compare(statistics, profile, record["scored"]),
        "segments": _segments(statistics),
    }


def drift(report: Mapping[str, Any]) -> str:
    """Return a sentence that summarizes the drift, for the top of the report."""
    found = drifted(report)
    scores = ", ".join(found["scores"])
    said = f"Predictions drifted: {scores}" if scores else "Predictions are as in training"
    worst = ", ".join(found["columns"][:_MOST_NAMED])
    named = "most of all" if len(found["columns"]) > _MOST_NAMED else "namely"
    columns = f" ({named} {worst})" if worst else ""
    return f"{said}; {len(found['columns'])} of {len(report['columns'])} columns drifted{columns}."


def nulls(record: Mapping[str, Any]) -> list[str]:
    """Return messages about values that became null; empty for manifests of older releases."""
    return [
        f"{name}: {count:,} times null for infinite or NaN, which JSON does not have."
        for name, count in record.get("nulled", {}).items()
    ]


def _page() -> "Template":
    return template("cloche.serving.batch", "report.html.jinja", number=_number)


def render(report: Mapping[str, Any]) -> str:
    """Render the HTML page."""
    return _page().render(
        drift=drift,
        measures=_MEASURES,
        report={
            "like": {"unit": ""},
            "nulled": {},
            **report,
        },  # reports of older releases lack these keys
    )


def _segments(statistics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the column values whose rows move the mean score most."""
    found = []
    for column, values in statistics.get("segments", {}).items():
        rows = sum(count for count, _ in values.values())
        mean = sum(total for _, total in values.values()) / rows if rows else 0.0
        for value, (count, total) in values.items():
            if count:
                score = total / count
                found.append(
                    {"column": column, "value": value, "share": count / rows, "score": score,
                     "lift": (score - mean) * count / rows}
                )  # fmt: skip
    return sorted(found, key=lambda one: -abs(one["lift"]))[:_MOST_SEGMENTS]


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:,.{digits}g}"
