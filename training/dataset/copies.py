"""Rows of the holdout that were also learned from.

Rows that look alike are of two kinds. Copies of one record (a file read twice, a join that fanned
out) have the same target, always. Different things that look alike in few coarse columns differ in
the target now and then. So each disagreement is taken as the sign of several agreements by chance,
and only what agrees beyond that counts as copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from cloche.training.dataset.split import Split

_AGREEMENTS_PER_DISAGREEMENT: Final = 4


@dataclass(frozen=True)
class Likeness:
    """How many holdout rows have the features of training rows.

    Attributes:
        alike: all of them.
        agreeing: those whose target is that of all the training rows they are like.
    """

    alike: int
    agreeing: int

    @property
    def copies(self) -> int:
        """How many of them must be copies: what chance does not explain."""
        by_chance = _AGREEMENTS_PER_DISAGREEMENT * (self.alike - self.agreeing)
        return max(0, self.agreeing - by_chance)


def likeness(split: Split, features: Sequence[str], target: str) -> Likeness:
    """Compare the holdout with the training rows.

    Args:
        split: both sides.
        features: what makes two rows look alike.
        target: what copies have in common, too.
    """
    learned, held = (
        pd.DataFrame(
            {
                "looks": pd.util.hash_pandas_object(side[list(features)], index=False),
                "target": pd.util.hash_pandas_object(side[target], index=False),
            }
        )
        for side in (split.train, split.holdout)
    )
    targets = learned.groupby("looks")["target"].agg(["min", "max"])
    found = held.join(targets, on="looks", how="inner")
    agreeing = (found["min"] == found["target"]) & (found["max"] == found["target"])
    return Likeness(alike=len(found), agreeing=int(agreeing.sum()))
