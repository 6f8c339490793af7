"""Whether what a stage answers fits what the next one takes, by their signatures."""

import json
from typing import Any

from cloche.serving.dispatch.served_pool import ServedPool

_MOST_NAMED = 5


def misfit(before: ServedPool, after: ServedPool) -> str:
    """Return why the outputs of one version do not fit the inputs of another; empty if they do.

    Without signatures nothing is known: the input example is scored by both.
    """
    given, taken = _columns(before, "outputs"), _columns(after, "inputs")
    if given is None or taken is None:
        return ""
    names = {column["name"] for column in given}
    missing = [
        column["name"]
        for column in taken
        if column.get("required", True) and column["name"] not in names
    ]
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        named = ", ".join(map(repr, missing[:_MOST_NAMED])) + more
        return (
            f"{after.model} {after.version} takes {named}, which the stage before it, "
            f"{before.model} {before.version}, does not answer. Promote versions that fit."
        )
    types = {column["name"]: column["type"] for column in given}
    for column in taken:
        if (found := types.get(column["name"], column["type"])) != column["type"]:
            return (
                f"{after.model} {after.version} takes {column['name']!r} as {column['type']}, and "
                f"the stage before it, {before.model} {before.version}, answers {found}. Promote "
                "versions that fit."
            )
    return ""


def _columns(version: ServedPool, side: str) -> list[dict[str, Any]] | None:
    """Return the named columns of a side of the signature; None if it has none."""
    signature = version.description["signature"] or {}
    columns: list[dict[str, Any]] = json.loads(signature.get(side) or "[]")
    named = all("name" in column and column["type"] != "tensor" for column in columns)
    return columns if columns and named else None
