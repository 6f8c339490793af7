"""Metrics for parts of the holdout: one slice for each value of a column."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cloche.training.errors import DataError
from cloche.training.evaluation.metrics import score_all
from cloche.training.evaluation.predictions import Pairs
from cloche.training.evaluation.remarks import undefined_reasons
from cloche.training.measurements import Slice

MISSING = "(missing)"

# A column with more values than this identifies rows; it does not divide the holdout into parts.
MOST_SLICES = 1_000


def slices(values: pd.Series, pairs: Pairs, metrics: Sequence[str]) -> list[Slice]:
    """Compute the metrics of each slice of the holdout, the largest slice first.

    Raises:
        DataError: The column has too many different values for slices.
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
        part = pairs.take(np.asarray(rows))
        scores = score_all(metrics, part)
        parts.append(Slice(column, str(value), len(rows), scores, undefined_reasons(part, scores)))
    return sorted(parts, key=lambda part: -part.rows)


def _texts(values: pd.Series) -> pd.Series:
    """Return the values as text; integers that a gap turned into floats lose the `.0`."""
    present = values.dropna()
    if pd.api.types.is_float_dtype(values) and (present == present.round()).all():
        values = values.astype("Int64")
    texts = values.astype(object).where(values.notna(), MISSING).astype(str)
    return texts.reset_index(drop=True)
