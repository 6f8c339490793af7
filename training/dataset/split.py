"""Splits rows into training rows and holdout; equal tables and seeds give equal splits."""

import math
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from cloche.training.dataset.reading.datetimes import parse_times, within
from cloche.training.errors import DataError
from cloche.training.recipe.schema import Recipe
from cloche.training.recipe.sections import FractionSplit, GroupSplit, TimeSplit

_MOST_HELD_OUT = 0.5


@dataclass(frozen=True)
class Split:
    """Two disjoint parts of one table; each row keeps its index."""

    train: pd.DataFrame
    holdout: pd.DataFrame


def split(frame: pd.DataFrame, recipe: Recipe) -> Split:
    """Split a table as the recipe says.

    Args:
        frame: Table with the columns that the recipe names, and an index without duplicates.
        recipe: The recipe, of which the split and the seed are used.

    Raises:
        DataError: A side would be empty, or times or classes do not allow the split.
    """
    by = recipe.split
    if isinstance(by, TimeSplit):
        return _by_time(frame, by, recipe.data.source)
    if isinstance(by, GroupSplit):
        return _by_group(frame, by.column, by.holdout, recipe)
    return _by_fraction(frame, by.holdout, recipe, stratify=by.stratify)


def validation_split(train: pd.DataFrame, recipe: Recipe) -> Split:
    """Split the training rows once more, for a search, in the way that the recipe splits the table.

    In a split by time the latest rows are held out; rows of the same time stay together.

    Raises:
        DataError: A side would be empty.
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
    when = parse_times(frame, by.column)
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
    when = parse_times(train, column)
    begin = when.sort_values().iloc[math.floor(len(when) * (1 - share))]
    late = when >= begin
    if late.all():
        # So many rows share the first time that all rows would be held out.
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
    single = np.zeros(len(frame), dtype=bool)
    if labels is not None and recipe.task == "multiclass":
        # A label that only one row has cannot be on both sides: its row is a training row.
        single = ~labels.duplicated(keep=False).to_numpy()
    drawn = np.flatnonzero(~single)
    try:
        train, holdout = train_test_split(
            drawn,
            test_size=share,
            random_state=recipe.seed,
            stratify=None if labels is None else labels.iloc[drawn],
        )
    except ValueError as error:
        known = None if labels is None else labels.iloc[drawn].value_counts()
        raise DataError(recipe.data.source, [_too_few(len(drawn), known, share, error)]) from None
    train = np.concatenate([train, np.flatnonzero(single)])
    return Split(frame.iloc[np.sort(train)], frame.iloc[np.sort(holdout)])


def _too_few(rows: int, counts: "pd.Series[int] | None", share: float, error: ValueError) -> str:
    if rows < 2:
        return "too few rows to split: training and holdout need one each; add rows"
    if counts is not None and counts.min() < 2:
        rare = ", ".join(repr(label) for label in counts[counts < 2].index[:5])
        return (
            f"only one row has the label {rare}, and training and holdout need one each; add rows "
            "with it"
        )
    if counts is not None and math.ceil(rows * share) < len(counts):
        enough = math.ceil(100 * len(counts) / rows) / 100
        more = f"set split.holdout: {enough:g}, " if enough <= _MOST_HELD_OUT else ""
        return (
            f"the holdout would have {math.ceil(rows * share):,} rows for {len(counts):,} labels; "
            f"{more}add rows, or set split.stratify: false"
        )
    return f"too few rows for the split ({rows}): {error}; add rows"
