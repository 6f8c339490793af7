"""The reference profile that a version carries if Cloche trained it: data in its artifacts."""

import json
from pathlib import Path
from typing import Any

_PLACE = "artifacts/profile.json"
_SCHEMA = 1


def load_profile(artifacts: Path) -> dict[str, Any]:
    """The profile of the version whose artifacts lie there; empty if it has none that is known."""
    try:
        profile: dict[str, Any] = json.loads((artifacts / _PLACE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return profile if profile.get("schema") == _SCHEMA else {}
