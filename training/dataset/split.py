"""Which rows are learned from and which are held out, the same for the same table and seed."""

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from cloche.training.dataset.days import times, within
from cloche.training.errors import DataError
from cloche.training.recipe.schema import Recipe
from cloche.training.recipe.sections import FractionSplit, GroupSplit, TimeSplit


@dataclass(frozen=True)
class Split:
    """Two parts of one table, no row in both, each row under the index that it had.

    Attributes:
        train: rows to learn from.
        holdout: rows to be judged on.
    """

    train: pd.DataFrame
    holdout: pd.DataFrame


def split(frame: pd.DataFrame, recipe: Recipe) -> Split:
    """Split a table as the recipe says.

    Args:
        frame: has the columns that the recipe names, and an index without doubles.
        recipe: its split and seed are read.

    Raises:
        DataError: a side would be empty, or times or classes do not allow the split.
    """
    by = recipe.split
    if isinstance(by, TimeSplit):
        return _by_time(frame, by, recipe.data.source)
    if isinstance(by, GroupSplit):
        return _by_group(frame, by.column, by.holdout, recipe)
    return _by_fraction(frame, by.holdout, recipe, stratify=by.stratify)


def validation_split(train: pd.DataFrame, recipe: Recipe) -> Split:
    """Split the training rows once more, in the recipe's own manner, for a search.

    By time, the latest rows are judged on; rows of one moment stay together.

    Raises:
        DataError: a side would be empty.
    """
    share = recipe.search.validation if recipe.search else 0.25
    by = recipe.split
    if isinstance(by, TimeSplit):
        return _latest(train, by.column, share, recipe.data.source)
    if isinstance(by, GroupSplit):
        return _by_group(train, by.column, share, recipe)
    stratify = isinstance(by, FractionSplit) and by.stratify
    return _by_fraction(train, share, recipe, stratify=stratify)


def _by_time(frame: pd.DataFrame, by: TimeSplit, source: str) -> Split:
    when = times(frame, by.column)
    train = frame[within(when, *map(date.fromisoformat, by.train))]
    holdout = frame[within(when, *map(date.fromisoformat, by.holdout))]
    covered = f"the table covers {when.min():%Y-%m-%d} to {when.max():%Y-%m-%d}"
    problems = [
        f"split.{side}: no row from {first} to {last}; {covered}"
        for side, rows, (first, last) in (
            ("train", train, by.train),
            ("holdout", holdout, by.holdout),
        )
        if rows.empty
    ]
    if problems:
        raise DataError(source, problems)
    return Split(train, holdout)


def _latest(train: pd.DataFrame, column: str, share: float, source: str) -> Split:
    when = times(train, column)
    begin = when.sort_values().iloc[math.floor(len(when) * (1 - share))]
    late = when >= begin
    if late.all():
        # One moment holds so many rows that it would swallow them all.
        late = when > when.min()
    if not late.any():
        problem = f"all training rows have one {column}; a search needs an earlier and a later part"
        raise DataError(source, [problem])
    return Split(train[~late], train[late])


def _by_group(frame: pd.DataFrame, column: str, share: float, recipe: Recipe) -> Split:
    groups = frame[column]
    count = groups.nunique(dropna=False)
    if count < 2:
        problem = f"{column} has {count} group; a split by group needs 2 or more"
        raise DataError(recipe.data.source, [problem])
    held = min(max(round(count * share), 1), count - 1)
    codes = pd.factorize(groups, use_na_sentinel=False)[0]
    draw = GroupShuffleSplit(n_splits=1, test_size=held, random_state=recipe.seed)
    train, holdout = next(draw.split(np.zeros(len(frame)), groups=codes))
    return Split(frame.iloc[train], frame.iloc[holdout])


def _by_fraction(frame: pd.DataFrame, share: float, recipe: Recipe, *, stratify: bool) -> Split:
    labels = frame[recipe.target] if stratify and recipe.task != "regression" else None
    try:
        train, holdout = train_test_split(
            np.arange(len(frame)), test_size=share, random_state=recipe.seed, stratify=labels
        )
    except ValueError as error:
        raise DataError(recipe.data.source, [_too_few(frame, labels, error)]) from None
    return Split(frame.iloc[np.sort(train)], frame.iloc[np.sort(holdout)])


def _too_few(frame: pd.DataFrame, labels: pd.Series | None, error: ValueError) -> str:
    counts = labels.value_counts() if labels is not None else None
    if counts is not None and counts.min() < 2:
        rare = ", ".join(repr(label) for label in counts[counts < 2].index[:5])
        return (
            f"only one row has the label {rare}, and both sides need one; "
            "add rows, leave the label out, or set split.stratify: false"
        )
    return f"too few rows for the split ({len(frame)}): {error}"
