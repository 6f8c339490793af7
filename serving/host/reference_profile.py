"""The reference profile that a version carries if Cloche trained it: data in its artifacts."""

import json
from pathlib import Path
from typing import Any

_PLACE = "artifacts/profile.json"
_SCHEMA = 1
_USUAL = ("0.01", "0.99")  # the quantiles between which values are called usual


def load_profile(artifacts: Path) -> dict[str, Any]:
    """The profile of the version whose artifacts lie there; empty if it has none that is known."""
    try:
        profile: dict[str, Any] = json.loads((artifacts / _PLACE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return profile if profile.get("schema") == _SCHEMA else {}


def usual_values(profile: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a form can offer for each column: its role, and categories or the ends of a range.

    Categories come with `complete`, whether there were no others.
    """
    return {name: _usual(column) for name, column in profile.get("columns", {}).items()}


def _usual(column: dict[str, Any]) -> dict[str, Any]:
    role = column["role"]
    if role == "categorical":
        values = list(column["counts"])
        return {"role": role, "values": values, "complete": not column["other"]}
    if role == "numeric" and "quantiles" in column:
        low, high = (column["quantiles"][at] for at in _USUAL)
        return {"role": role, "low": low, "high": high}
    if role == "datetime" and "first" in column:
        return {"role": role, "low": column["first"], "high": column["last"]}
    return {"role": role}
