"""Checks whether the values of each feature fit its role."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cloche.training.dataset.reading.datetimes import unreadable_times
from cloche.training.dataset.reading.formatted_values import INFINITE_FIX, formatted_note, kinds_of
from cloche.training.recipe.metric_catalog import ROLES, Role
from cloche.training.recipe.sections import Columns

_IDENTIFIER_SHARE = 0.9
_IDENTIFIER_VALUES = 100


def check_features(
    frame: pd.DataFrame, columns: Columns, records: pd.DataFrame
) -> tuple[list[str], list[str]]:
    """Return problems and warnings, one message each, for the features that `frame` has.

    Args:
        frame: All rows.
        columns: The features by role.
        records: The rows without copies.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for role in ROLES:
        for name in columns.with_role(role):
            if name not in frame:
                continue
            values = frame[name].dropna()
            if values.empty:
                problems.append(f"{name}: is empty in every row; remove it from the columns")
                continue
            found = list(_misfits(values, role))
            problems += [f"{name}: {problem}" for problem in found]
            if not found:
                warnings += [f"{name}: {odd}" for odd in _oddities(records[name], role)]
    return problems, warnings


def unfit_kind(values: pd.Series) -> str | None:
    """Return why values cannot be a feature of any role; None if they can."""
    if values.dtype != object:
        return None
    if values.map(_is_nested).any():
        return "holds lists or mappings"
    return "holds bytes" if values.map(lambda value: isinstance(value, bytes)).any() else None


def _misfits(values: pd.Series, role: Role) -> Iterator[str]:
    if (kind := unfit_kind(values)) is not None:
        yield f"{kind}; a feature is a plain value"
    elif role == "numeric":
        yield from _not_numeric(values)
    elif role == "text" and not _is_text(values):
        yield f"has the role text, and holds {kinds_of(values)}; {_listed_elsewhere(values)}"
    elif role == "categorical" and pd.api.types.is_datetime64_any_dtype(values):
        yield "has the role categorical, and holds times; list it under datetime"
    elif role == "datetime" and (problem := unreadable_times(values)) is not None:
        yield f"has the role datetime, and {problem}"


def _not_numeric(values: pd.Series) -> Iterator[str]:
    if not pd.api.types.is_numeric_dtype(values):
        yield "has the role numeric, and " + (formatted_note(values) or _no_numbers(values))
    elif (infinite := int(np.isinf(values.to_numpy(dtype="float64")).sum())) > 0:
        yield f"is infinite in {infinite:,} row(s); {INFINITE_FIX}"


def _no_numbers(values: pd.Series) -> str:
    held = f"holds {kinds_of(values)}"
    if not pd.api.types.is_datetime64_any_dtype(values):
        others = int(pd.to_numeric(values.astype(object), errors="coerce").isna().sum())
        held += f" ({others:,} of {len(values):,} values are no numbers)"
    return f"{held}; {_listed_elsewhere(values)}"


def _listed_elsewhere(values: pd.Series) -> str:
    """The roles that fit the values, as what to do."""
    fits = {
        "numeric": pd.api.types.is_numeric_dtype(values),
        "categorical": not pd.api.types.is_datetime64_any_dtype(values),
        "text": _is_text(values),
        "datetime": unreadable_times(values) is None,
    }
    return f"list it under {' or '.join(role for role, fitting in fits.items() if fitting)}"


def _oddities(values: pd.Series, role: Role) -> Iterator[str]:
    distinct = values.nunique()
    if distinct == 1 and values.notna().all():
        yield "has one value in all rows, and tells nothing"
    if (
        role == "categorical"
        and distinct > _IDENTIFIER_VALUES
        and distinct > _IDENTIFIER_SHARE * len(values)
    ):
        yield f"has {distinct:,} values in {len(values):,} rows; is it an identifier?"


def _is_text(values: pd.Series) -> bool:
    return bool(values.map(lambda value: isinstance(value, str)).all())


def _is_nested(value: object) -> bool:
    return isinstance(value, list | dict | set | tuple | np.ndarray)
