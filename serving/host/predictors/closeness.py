"""Compares predictions, up to the rounding of numerical libraries."""

import math
from typing import Any


def isclose(one: Any, other: Any, *, tolerance: float, relative: float = 1e-6) -> bool:
    """Whether two parsed JSON predictions are equal within a tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            isclose(one[key], other[key], tolerance=tolerance, relative=relative) for key in one
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            isclose(*pair, tolerance=tolerance, relative=relative)
            for pair in zip(one, other, strict=True)
        )
    if isinstance(one, float) and isinstance(other, float):
        both_missing = math.isnan(one) and math.isnan(other)
        return both_missing or math.isclose(one, other, rel_tol=relative, abs_tol=tolerance)
    return bool(one == other)
