"""Finds rows that occur twice in a table, and holdout rows that are also training rows.

There are two kinds of rows with equal features. Copies of one record (a file read twice, a join
that multiplied rows) always have the same target. Different things that look equal in a few coarse
columns sometimes differ in the target. So each disagreement is taken as a sign of several
agreements by chance, and only rows that agree beyond that number count as copies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cloche.training.dataset.reading.digest import hashable
from cloche.training.dataset.split import Split

_AGREEMENTS_PER_DISAGREEMENT: Final = 4
# Rows that consist of few combinations of coarse values, with many rows for each, are different
# things, even if a feature determines the target of all of them.
_FEW_COMBINATIONS: Final = 50
_MANY_ROWS_EACH: Final = 10


@dataclass(frozen=True)
class Duplicates:
    """Counts of rows with the same features as training rows, or as other rows of their table.

    Attributes:
        alike: Number of rows with the same features as another row.
        agreeing: Number of those rows whose target equals that of all rows with the same features.
    """

    alike: int
    agreeing: int

    @property
    def copies(self) -> int:
        """The number of rows that must be copies, because chance does not explain them."""
        by_chance = _AGREEMENTS_PER_DISAGREEMENT * (self.alike - self.agreeing)
        return max(0, self.agreeing - by_chance)


def find_duplicates(split: Split, features: Sequence[str], target: str) -> Duplicates:
    """Compare the holdout with the training rows."""
    learned, held = (_hashed(side, features, target) for side in (split.train, split.holdout))
    targets = learned.groupby("looks")["target"].agg(["min", "max"])
    found = held.join(targets, on="looks", how="inner")
    agreeing = (found["min"] == found["target"]) & (found["max"] == found["target"])
    return Duplicates(alike=len(found), agreeing=int(agreeing.sum()))


def record_numbers(
    frame: pd.DataFrame, features: Sequence[str], target: str
) -> npt.NDArray[np.intp]:
    """Return the number of each row's record, shape (n,); without copies all numbers differ.

    Args:
        frame: Table of n rows, which may include copies.
        features: Columns in which duplicates are equal; columns that number the rows are ignored.
        target: The target column, in which copies are equal, too.
    """
    hashed = _hashed(frame, [name for name in features if not _is_running(frame[name])], target)
    alike = hashed[hashed.duplicated("looks", keep=False)].groupby("looks")["target"]
    agreeing = int((alike.transform("min") == alike.transform("max")).sum())
    like = Duplicates(alike=int(alike.size().sum()), agreeing=agreeing)
    numbers = hashed.groupby(["looks", "target"], sort=False).ngroup()
    records = int(numbers.max()) + 1 if len(numbers) else 0
    coarse = records < _FEW_COMBINATIONS and len(frame) >= _MANY_ROWS_EACH * records
    return np.asarray(numbers) if like.copies and not coarse else np.arange(len(frame))


def without_copies(frame: pd.DataFrame, features: Sequence[str], target: str) -> pd.DataFrame:
    """Return a table with each record once (see `record_numbers`), as evidence for statistics."""
    numbers = pd.Series(record_numbers(frame, features, target))
    return frame[~numbers.duplicated().to_numpy()]


def copies_note(copies: int, rows: int) -> str:
    """Return a clause that says how many rows of a table are copies, and what to do."""
    return (
        f"{copies:,} of the {rows:,} rows are copies of others, and count as one record with them "
        "where columns are judged; remove them, because copies in training and holdout flatter "
        "every metric"
    )


def _hashed(frame: pd.DataFrame, features: Sequence[str], target: str) -> pd.DataFrame:
    """Return columns `looks` and `target`: hashes of the features and of the target of each row."""
    columns = {name: hashable(frame[name]) for name in (*features, target)}
    looks = pd.DataFrame({name: columns[name] for name in features}, index=frame.index)
    return pd.DataFrame(
        {
            "looks": pd.util.hash_pandas_object(looks, index=False),
            "target": pd.util.hash_pandas_object(columns[target], index=False),
        }
    )


def _is_running(values: pd.Series) -> bool:
    """Return whether a column only numbers the rows, in any order, and so says nothing of them."""
    return bool(
        pd.api.types.is_integer_dtype(values)
        and values.is_unique
        and values.max() - values.min() + 1 == len(values)
    )
