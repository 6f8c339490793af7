"""Rows of the holdout that were also learned from."""

from collections.abc import Sequence

import pandas as pd

from training.dataset.split import Split


def count_copies(split: Split, columns: Sequence[str]) -> int:
    """How many holdout rows have their exact like among the training rows.

    Args:
        split: both sides.
        columns: what makes two rows alike.
    """
    names = list(columns)
    learned = pd.util.hash_pandas_object(split.train[names], index=False)
    held = pd.util.hash_pandas_object(split.holdout[names], index=False)
    return int(held.isin(set(learned)).sum())
