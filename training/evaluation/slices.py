"""Metrics for parts of the holdout: one slice for each value of a column."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cloche.training.errors import DataError
from cloche.training.evaluation.metrics import score_all
from cloche.training.evaluation.predictions import Outcome
from cloche.training.evaluation.remarks import undefined

MISSING = "(missing)"

# A column with more values than this names rows rather than parts.
MOST_SLICES = 1_000


@dataclass(frozen=True)
class Slice:
    """The rows that share a value of a column.

    Attributes:
        column: its name.
        value: the shared value, as text; `(missing)` for rows without one.
        rows: how many there are.
        scores: metric → value, `nan` where the slice does not define it.
        undefined: metric → why the slice does not define it.
    """

    column: str
    value: str
    rows: int
    scores: dict[str, float]
    undefined: dict[str, str] = field(default_factory=dict)


def slices(values: pd.Series, outcome: Outcome, metrics: Sequence[str]) -> list[Slice]:
    """Score each part of the holdout that shares a value, the largest part first.

    Args:
        values: the slicing column for the rows of `outcome`, in the same order.
        outcome: truth and predictions.
        metrics: what to compute.

    Raises:
        DataError: the column has too many different values to be read as slices.
    """
    column = str(values.name)
    texts = _texts(values)
    positions = texts.groupby(texts, sort=True).indices
    if len(positions) > MOST_SLICES:
        raise DataError(
            column,
            [
                f"{len(positions)} different values are too many for slices "
                f"(at most {MOST_SLICES}); slice by another column, or by ranges of this one"
            ],
        )
    parts = []
    for value, rows in positions.items():
        part = outcome.take(np.asarray(rows))
        scores = score_all(metrics, part)
        parts.append(Slice(column, str(value), len(rows), scores, undefined(part, scores)))
    return sorted(parts, key=lambda part: -part.rows)


def _texts(values: pd.Series) -> pd.Series:
    """The values as people read them: whole floats lose the `.0` that a gap gave them."""
    present = values.dropna()
    if pd.api.types.is_float_dtype(values) and (present == present.round()).all():
        values = values.astype("Int64")
    texts = values.astype(object).where(values.notna(), MISSING).astype(str)
    return texts.reset_index(drop=True)
