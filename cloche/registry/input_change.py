"""What changes for clients when another version, or another stage before it, takes their rows."""

import json
from typing import Any

from cloche.registry.stage_fit import Signature

_MOST_NAMED = 5


def input_changes(before: Signature | None, after: Signature | None) -> str:
    """Return which inputs are new, gone or of another type; empty if requests fit as before.

    A new optional input changes nothing for clients. Without signatures nothing is known.

    Args:
        before: The signature of what served, as `ModelSignature.to_dict` returns it.
        after: The signature of what serves now.
    """
    old, new = _inputs(before), _inputs(after)
    if not old or not new:
        return ""
    changes = [f"{name!r} ({_type(old[name])}) is gone" for name in old if name not in new]
    for name, column in new.items():
        required = column.get("required", True)
        if name not in old:
            changes += [f"{name!r} ({_type(column)}) is new"] if required else []
        elif (was := _type(old[name])) != (now := _type(column)):
            changes.append(f"{name!r} was {was} and is {now}")
        elif required and not old[name].get("required", True):
            changes.append(f"{name!r} was optional and is required")
    more = len(changes) - _MOST_NAMED
    return ", ".join(changes[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _inputs(signature: Signature | None) -> dict[str | int, dict[str, Any]]:
    """Return the columns by name, or by position if they have no names."""
    columns = json.loads((signature or {}).get("inputs") or "[]")
    return {column.get("name", place): column for place, column in enumerate(columns)}


def _type(column: dict[str, Any]) -> str:
    """Return the type of a column; arrays and tensors are told with what is in them."""
    described = {key: one for key, one in column.items() if key not in ("name", "required")}
    return str(column["type"]) if described.keys() == {"type"} else json.dumps(described)
