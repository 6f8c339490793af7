"""Whether what a stage answers fits what the next version takes, by their signatures.

It fits if the stage answers each required column, and columns of the same name have the same type.
Hosts join rows of exactly these types (`serving/host/staged_requests.py`), so a type that MLflow
would cast, such as integer for long, is refused, too. Not compared are the elements of arrays,
tensors, and columns without names.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

_MOST_NAMED = 5

Signature = Mapping[str, Any]  # as `ModelSignature.to_dict` returns it


def first_misfit(chain: Sequence[tuple[str, Signature | None]]) -> str:
    """Return why a version of a chain does not fit the one before it; empty if all fit.

    Args:
        chain: For each version, in the order of the rows, its name and number, and its signature.
    """
    pairs = itertools.pairwise(chain)
    return next((reason for one, other in pairs if (reason := misfit(*one, *other))), "")


def is_known(answers: Signature | None, takes: Signature | None) -> bool:
    """Whether the signatures of a stage and of what follows say enough to be compared."""
    return _columns(answers, "outputs") is not None and _columns(takes, "inputs") is not None


def misfit(stage: str, answers: Signature | None, following: str, takes: Signature | None) -> str:
    """Return why the outputs of a stage do not fit the inputs of what follows; empty if they do.

    Without signatures nothing is known, and nothing is refused.

    Args:
        stage: The name and version of the stage, for the message.
        answers: The signature of the stage.
        following: The name and version of what follows, for the message.
        takes: The signature of what follows.
    """
    given, taken = _columns(answers, "outputs"), _columns(takes, "inputs")
    if given is None or taken is None:
        return ""
    types = {column["name"]: column["type"] for column in given}
    missing = [
        column["name"]
        for column in taken
        if column.get("required", True) and column["name"] not in types
    ]
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        named = ", ".join(map(repr, missing[:_MOST_NAMED])) + more
        return f"{following} takes {named}, which the stage before it, {stage}, does not answer."
    for column in taken:
        if (found := types.get(column["name"], column["type"])) != column["type"]:
            return (
                f"{following} takes {column['name']!r} as {column['type']}, and the stage before "
                f"it, {stage}, answers {found}."
            )
    return ""


def _columns(signature: Signature | None, side: str) -> list[dict[str, Any]] | None:
    """Return the named columns of a side of the signature; None if it has none."""
    columns: list[dict[str, Any]] = json.loads((signature or {}).get(side) or "[]")
    named = all("name" in column and column["type"] != "tensor" for column in columns)
    return columns if columns and named else None
