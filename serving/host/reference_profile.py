"""The reference profile in the artifacts of versions that Cloche trained."""

import json
from pathlib import Path
from typing import Any

_PLACE = "artifacts/profile.json"
_SCHEMA = 1
_USUAL = ("0.01", "0.99")  # the quantiles that bound the range of usual values


def load_profile(artifacts: Path) -> dict[str, Any]:
    """Read a version's profile from its artifacts; empty if there is none of a known schema."""
    try:
        profile: dict[str, Any] = json.loads((artifacts / _PLACE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return profile if profile.get("schema") == _SCHEMA else {}


def write_joint_profile(artifacts: Path, first: Path, last: Path) -> None:
    """Write the profile of a model behind stages, if one is known.

    Args:
        artifacts: The folder for the profile.
        first: The artifacts of the first stage, which takes the rows.
        last: The artifacts of the model, whose predictions are the scores.
    """
    inputs, outputs = load_profile(first), load_profile(last)
    if not (inputs or outputs):
        return
    joint = (outputs or inputs) | {
        "columns": inputs.get("columns", {}), "scores": outputs.get("scores", {})
    }  # fmt: skip
    file = artifacts / _PLACE
    file.parent.mkdir()
    file.write_text(json.dumps(joint), encoding="utf-8")


def usual_values(profile: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the values that a form can offer for each column: categories, or a range.

    Each column has its `role`. Categories have `complete`: whether training had no others.
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
