"""Rows that stand in a table twice, and rows of the holdout that were also learned from.

Rows that look alike are of two kinds. Copies of one record (a file read twice, a join that fanned
out) have the same target, always. Different things that look alike in few coarse columns differ in
the target now and then. So each disagreement is taken as the sign of several agreements by chance,
and only what agrees beyond that counts as copied.
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
# Rows that are a few combinations of coarse values, each in many rows, are different things also
# where a feature tells the target of all of them.
_FEW_COMBINATIONS: Final = 50
_MANY_ROWS_EACH: Final = 10


@dataclass(frozen=True)
class Duplicates:
    """How many rows have the features of others: of training rows, or of rows of their own table.

    Attributes:
        alike: all of them.
        agreeing: those whose target is that of all the rows they are like.
    """

    alike: int
    agreeing: int

    @property
    def copies(self) -> int:
        """How many of them must be copies: what chance does not explain."""
        by_chance = _AGREEMENTS_PER_DISAGREEMENT * (self.alike - self.agreeing)
        return max(0, self.agreeing - by_chance)


def find_duplicates(split: Split, features: Sequence[str], target: str) -> Duplicates:
    """Compare the holdout with the training rows.

    Args:
        split: both sides.
        features: what makes two rows look alike.
        target: what copies have in common, too.
    """
    learned, held = (_hashed(side, features, target) for side in (split.train, split.holdout))
    targets = learned.groupby("looks")["target"].agg(["min", "max"])
    found = held.join(targets, on="looks", how="inner")
    agreeing = (found["min"] == found["target"]) & (found["max"] == found["target"])
    return Duplicates(alike=len(found), agreeing=int(agreeing.sum()))


def record_numbers(
    frame: pd.DataFrame, features: Sequence[str], target: str
) -> npt.NDArray[np.intp]:
    """The number of the record that each row is a copy of, shape (n,); all differ without copies.

    Args:
        frame: n rows, copies among them perhaps.
        features: what makes two rows look alike; running numbers among them do not count.
        target: what copies have in common, too.
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
    """A table with each record once, see `record_numbers`: what is evidence for a statistic."""
    numbers = pd.Series(record_numbers(frame, features, target))
    return frame[~numbers.duplicated().to_numpy()]


def copies_note(copies: int, rows: int) -> str:
    """What to know about a table with copies, as a clause."""
    return (
        f"{copies:,} of the {rows:,} rows are copies of others, and count as one record with them "
        "where columns are judged; remove them, because copies in training and holdout flatter "
        "every metric"
    )


def _hashed(frame: pd.DataFrame, features: Sequence[str], target: str) -> pd.DataFrame:
    """Columns `looks` and `target`: hashes of the features and of the target of each row."""
    columns = {name: hashable(frame[name]) for name in (*features, target)}
    looks = pd.DataFrame({name: columns[name] for name in features}, index=frame.index)
    return pd.DataFrame(
        {
            "looks": pd.util.hash_pandas_object(looks, index=False),
            "target": pd.util.hash_pandas_object(columns[target], index=False),
        }
    )


def _is_running(values: pd.Series) -> bool:
    """Whether a column numbers the rows, in whatever order: that says nothing of the record."""
    return bool(
        pd.api.types.is_integer_dtype(values)
        and values.is_unique
        and values.max() - values.min() + 1 == len(values)
    )
