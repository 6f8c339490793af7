"""What a job saw, for machines as a document and for people as a page that needs nothing else."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from serving.batch.drift import distance

SCHEMA = 1
_MOST_SEGMENTS = 12
_MOST_INPUTS = 5
_MOST_BARS = 24
_MOST_NAMED = 3


def document(
    record: Mapping[str, Any], statistics: Mapping[str, Any], profile: Mapping[str, Any]
) -> dict[str, Any]:
    """The report of a finished job.

    Args:
        record: What its manifest says.
        statistics: The counts of all parts, added up.
        profile: The version's reference profile; empty if it has none.
    """
    columns = profile.get("columns", {})
    return {
        "schema": SCHEMA,
        "model": {key: record["job"]["model"][key] for key in ("name", "version", "run_id")},
        "inputs": sorted(record["job"]["inputs"])[:_MOST_INPUTS],
        "input_count": len(record["job"]["inputs"]),
        "rows": record["rows"],
        "scored": record["scored"],
        "refused": record["refused"],
        "predictors": record["predictors"],
        "reasons": dict(sorted(record["reasons"].items(), key=lambda one: -one[1])),
        "sampled": statistics.get("sampled", 0),
        "profiled": bool(profile),
        "scores": [
            _compared(name, found, profile.get("scores", {}).get(name))
            for name, found in statistics.get("scores", {}).items()
        ],
        "columns": sorted(
            (
                _compared(name, found, _reference(columns[name]))
                for name, found in statistics.get("columns", {}).items()
            ),
            key=lambda one: -(one["psi"] or 0.0),
        ),
        "segments": _segments(statistics),
    }


def drifted(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of the scores and columns that are no longer as in training, worst first."""
    return {
        kind: [one["name"] for one in report[kind] if one["verdict"] == "drifted"]
        for kind in ("scores", "columns")
    }


def drift(report: Mapping[str, Any]) -> str:
    """The same as a sentence: what a person has to know before the tables."""
    found = drifted(report)
    scores = ", ".join(found["scores"])
    said = f"Predictions drifted: {scores}" if scores else "Predictions are as in training"
    worst = ", ".join(found["columns"][:_MOST_NAMED])
    named = "most of all" if len(found["columns"]) > _MOST_NAMED else "namely"
    columns = f" ({named} {worst})" if worst else ""
    return f"{said}; {len(found['columns'])} of {len(report['columns'])} columns drifted{columns}."


def render(report: Mapping[str, Any]) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("serving.batch"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.globals["drift"] = drift
    return environment.get_template("report.html.jinja").render(report=report)


def _reference(described: Mapping[str, Any]) -> dict[str, Any]:
    """The distribution of a column in the profile; of texts, that of their lengths."""
    return {**described, **described.get("length", {})}


def _compared(
    name: str, found: Mapping[str, Any], reference: Mapping[str, Any] | None
) -> dict[str, Any]:
    """One column or score beside its reference; `bars` are shares of rows per bin or value."""
    reference = reference or {}
    labels, before, after = _bins(found, reference)
    compared = distance(before, after) if reference else None
    rows = found["present"] + found["missing"]
    return {
        "name": name,
        "missing": found["missing"] / rows if rows else 0.0,
        "missing_before": _share_missing(reference),
        "mean": found["sum"] / found["present"] if found.get("sum") and found["present"] else None,
        "mean_before": reference.get("mean"),
        "outside": found.get("outside", found.get("other", 0)) / rows if rows else 0.0,
        "psi": compared.psi if compared else None,
        "p_value": compared.p_value if compared else None,
        "verdict": compared.verdict if compared else "unknown",
        "bars": _bars(labels, before, after),
    }


def _bins(
    found: Mapping[str, Any], reference: Mapping[str, Any]
) -> tuple[list[str], list[float], list[float]]:
    """Labels, counts before and counts now, over the same bins; what is missing is one of them."""
    if "values" in found:
        known = reference.get("counts", {})
        names = list(known) or sorted(found["values"], key=lambda name: -found["values"][name])
        labels = [*names, "other", "missing"]
        before = [*(known.get(name, 0) for name in names), reference.get("other", 0)]
        after = [*(found["values"].get(name, 0) for name in names), found["other"]]
    elif "counts" in found:
        edges = reference.get("edges") or [at / 20 for at in range(21)]
        labels = [*(f"{_number(a)} to {_number(b)}" for a, b in pairwise(edges)), "missing"]
        before = list(reference.get("counts", [0] * (len(edges) - 1)))
        after = list(found["counts"])
    else:
        labels, before, after = ["present", "missing"], [_present(reference)], [found["present"]]
    return labels, [*before, reference.get("missing", 0)], [*after, found["missing"]]


def _present(reference: Mapping[str, Any]) -> float:
    counts = reference.get("counts")
    values = counts.values() if isinstance(counts, Mapping) else counts or ()
    return float(sum(values) + reference.get("other", 0))


def _share_missing(reference: Mapping[str, Any]) -> float | None:
    rows = _present(reference) + reference.get("missing", 0)
    return reference.get("missing", 0) / rows if rows else None


def _bars(labels: list[str], before: list[float], after: list[float]) -> list[dict[str, Any]]:
    bars: list[dict[str, Any]] = [
        {
            "label": label,
            "before": one / sum(before) if sum(before) else None,
            "after": other / sum(after) if sum(after) else 0.0,
        }
        for label, one, other in zip(labels, before, after, strict=True)
        if one or other
    ]
    if len(bars) <= _MOST_BARS:
        return bars
    largest = sorted(bars, key=lambda bar: -max(bar["before"] or 0, bar["after"]))[:_MOST_BARS]
    return [bar for bar in bars if bar in largest]


def _segments(statistics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values whose rows move the mean score most."""
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
