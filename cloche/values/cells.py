"""Single cells of tables, as training and serving read them alike."""

from typing import Any

import pandas as pd


def label(value: object) -> str:
    """Return a value's label in the profile; integers that gaps turned into floats lose `.0`."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def is_missing(value: Any) -> bool:
    """Whether a cell holds one of the values that pandas counts as missing."""
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
