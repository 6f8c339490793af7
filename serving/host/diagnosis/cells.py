"""Finds the mistake inside a cell: an element of a list, a property of an object, a map's value.

In a column of a plain type the cell as a whole is the mistake.
"""

from typing import Any

from cloche.serving.host.answers.mistake import describe_kind, describe_mismatch
from cloche.serving.host.diagnosis.enforcement import first_refused, refuses_element
from cloche.serving.host.parsing.older_mlflow import Array, Map, Object


def locate_mistake(cell: Any, kind: Any, *, required: bool = True) -> tuple[str, str]:
    """Find the position in a refused cell, empty for the whole cell, and describe the mistake."""
    whole = "", describe_mismatch(kind, describe_kind(cell, kind))
    if isinstance(kind, Array) and isinstance(cell, list):
        at = first_refused(len(cell), lambda some: refuses_element(cell[some], kind))
        return whole if at is None else _below(f"[{at}]", cell[at], kind.dtype, required=required)
    if isinstance(kind, Map) and isinstance(cell, dict):
        values = [value for value in cell.values() if value is not None or required]
        at = first_refused(
            len(values), lambda some: refuses_element(values[some], Array(kind.value_type))
        )
        if at is not None:  # keys of a map are the client's data and must not be shown
            return _below("a value of the map", values[at], kind.value_type, required=required)
    if isinstance(kind, Object) and isinstance(cell, dict):
        return _in_object(cell, kind) or whole
    return whole


def _in_object(cell: dict[str, Any], kind: Any) -> tuple[str, str] | None:
    known = {one.name: one for one in kind.properties}
    lacking = [name for name, one in known.items() if one.required and name not in cell]
    if lacking:
        return "", f"the property {lacking[0]!r} is missing"
    if strange := [name for name in cell if name not in known]:
        return "", f"there is no property {strange[0]!r}; there are {', '.join(map(repr, known))}"
    for name, value in cell.items():
        one = known[name]
        if refuses_element(value, one.dtype, required=one.required):
            return _below(name, value, one.dtype, required=one.required)
    return None


def _below(step: str, cell: Any, kind: Any, *, required: bool) -> tuple[str, str]:
    place, what = locate_mistake(cell, kind, required=required)
    joint = "" if not place or place.startswith("[") else "."
    return f"{step}{joint}{place}", what
