"""Checks nested lists that should be tensors: their shape, and the type of each element."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cloche.serving.host.answers.mistake import Mistake, describe_kind, type_name
from cloche.serving.host.diagnosis.enforcement import first_refused
from cloche.serving.host.parsing.missing_values import flatten


def tensor_mistake(value: Any, spec: Any, name: str | None = None) -> Mistake | None:
    """Find why nested lists do not form the tensor of a signature; None if they do."""
    subject = "The input" if name is None else f"Input {name!r}"
    columns = () if name is None else (name,)
    wanted = f"{type_name(spec.type)} of shape {shape_name(spec.shape)}"
    if isinstance(value, dict):
        return Mistake(f"{subject}: expected {wanted}, found an object.", columns)
    shape = shape_of(value)
    if shape is None:
        return Mistake(
            f"{subject}: expected {wanted}, found lists of different lengths or depths.", columns
        )
    fits = len(shape) == len(spec.shape) and all(
        want in (-1, have) for want, have in zip(spec.shape, shape, strict=True)
    )
    if not fits:
        return Mistake(f"{subject}: expected {wanted}, found shape {shape_name(shape)}.", columns)
    leaves = list(flatten(value))
    at = first_refused(len(leaves), lambda some: _refuses(leaves[some], spec.type))
    if at is None:
        return None
    row = at // math.prod(shape[1:]) if shape else None
    where = "" if row is None else f", row {row}"
    found = describe_kind(leaves[at])
    return Mistake(f"{subject}{where}: expected {wanted}, found {found}.", columns, row)


def shape_of(value: Any) -> tuple[int, ...] | None:
    """Return the shape of nested lists; None if their lengths or depths differ."""
    if not isinstance(value, list):
        return None if isinstance(value, dict) else ()
    shapes = {shape_of(one) for one in value}
    if len(shapes) > 1 or None in shapes:
        return None
    return (len(value), *(shapes.pop() or () if shapes else ()))


def shape_name(shape: Sequence[int]) -> str:
    """Format a shape, with n for an axis of any length."""
    return f"[{', '.join('n' if axis < 0 else str(axis) for axis in shape)}]"


def _refuses(leaves: list[Any], dtype: Any) -> bool:
    try:
        np.array(leaves, dtype=dtype)
    except (ValueError, TypeError, OverflowError):
        return True
    return False
