"""Checks whether the target column fits the recipe's task."""

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd

from cloche.training.dataset.reading.formatted_values import INFINITE_FIX, formatted_note
from cloche.training.recipe.schema import Recipe

_SHOWN = 5
_MANY_CLASSES = 100
_ONE_VALUE = "the target has one value in every row; name another column, or add rows with others"


def check_target(target: pd.Series, recipe: Recipe, *, records: int) -> list[str]:
    """Return one message for each problem of the target column.

    Args:
        target: (n rows) The target column.
        recipe: The recipe, which gives the task and the positive label.
        records: Number of rows without copies.
    """
    known = target.dropna()
    if known.empty:
        return [f"{recipe.target}: the target has no value in any row; name another column"]
    if recipe.task == "regression":
        found = _regression(known)
    else:
        found = _classification(known, recipe, records)
    return [f"{recipe.target}: {problem}" for problem in found]


def rows_with_target(frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the rows whose target is known.

    Integers that were read as floats because of missing values become integers again, and booleans
    that were read as objects become booleans again.

    Args:
        frame: Table of n rows.
        target: Name of the target column; a table that lacks the column, or has a target in every
            row, is returned unchanged.
    """
    if target not in frame or not (gaps := frame[target].isna()).any():
        return frame
    known = frame[~gaps]
    values = known[target].infer_objects()
    whole = pd.api.types.is_float_dtype(values) and values.abs().lt(2**53).all()
    if whole and (values % 1 == 0).all():
        values = values.astype("int64")
    return known.assign(**{target: values})


def missing_target_note(missing: int, rows: int) -> str:
    """Return a clause that says how many rows of a table lack the target and are left out."""
    return f"the target is missing in {missing:,} of {rows:,} rows, which are left out"


def _regression(target: pd.Series) -> Iterator[str]:
    numeric = pd.api.types.is_numeric_dtype(target) and not pd.api.types.is_bool_dtype(target)
    if not numeric:
        yield (
            "a regression needs numbers, and the target "
            + (formatted_note(target) or f"holds none; set task: {_task_of(target)}")
        )
    elif (infinite := int(np.isinf(target.to_numpy(dtype="float64")).sum())) > 0:
        yield f"the target is infinite in {infinite:,} row(s); {INFINITE_FIX}"
    elif target.nunique() == 1:
        yield _ONE_VALUE


def _classification(target: pd.Series, recipe: Recipe, records: int) -> Iterator[str]:
    labels = list(target.unique())
    count, found = len(labels), class_names(labels)
    if count == 1:
        yield _ONE_VALUE
        return
    if _looks_continuous(target, count, records):
        yield f"the target looks like a quantity ({count:,} numbers); set task: regression"
    elif recipe.task == "binary" and count != 2:
        yield f"a binary task needs 2 labels, and the target has {found}; set task: multiclass"
    elif recipe.task == "multiclass" and count == 2:
        yield f"a multiclass task needs 3 labels, and the target has {found}; set task: binary"
    if recipe.positive is not None and recipe.positive not in labels:
        yield f"positive: {recipe.positive!r} is not a label of the target, which has {found}"


def _task_of(labels: pd.Series) -> str:
    return "binary" if labels.nunique() <= 2 else "multiclass"


def class_names(labels: Collection[object]) -> str:
    """Return the labels as class names for a message; only their number if they are many.

    Many different labels may be any content of rows, and a message must not show values of rows.
    """
    if len(labels) > _SHOWN:
        return f"{len(labels):,} labels"
    names = sorted(repr(_plain(label)) for label in labels)
    return f"the label{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _looks_continuous(target: pd.Series, classes: int, records: int) -> bool:
    if not pd.api.types.is_numeric_dtype(target):
        return False
    fractions = pd.api.types.is_float_dtype(target) and bool((target % 1 != 0).any())
    return classes > 2 and (fractions or classes > max(_MANY_CLASSES, records // 10))


def _plain(label: object) -> object:
    return label.item() if isinstance(label, np.generic) else label
