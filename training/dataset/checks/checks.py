"""Checks whether a table and its split can be learned from; reports all problems at once.

Problems stop a training, because it would fail or its evaluation would be wrong. Warnings are
returned, for the run to log.
"""

import math
from collections.abc import Iterator
from typing import Final

import pandas as pd

from cloche.training.dataset.checks.duplicates import copies_note, find_duplicates, without_copies
from cloche.training.dataset.checks.leakage import leaks, near_leaks
from cloche.training.dataset.checks.target_column import check_target, class_names
from cloche.training.dataset.features import check_features
from cloche.training.dataset.reading.datetimes import unreadable_times
from cloche.training.dataset.split import Split
from cloche.training.errors import DataError
from cloche.training.recipe.schema import Recipe
from cloche.training.recipe.sections import FractionSplit, TimeSplit
from cloche.training.recipe.suggestions import suggestion

# Fewer copies than this change a metric by less than the width of its confidence interval.
_FEW_COPIES: Final = 5


def check_table(frame: pd.DataFrame, recipe: Recipe) -> list[str]:
    """Check a table before it is split; return warnings about data that is no reason to stop.

    Raises:
        DataError: The table has problems; the error lists all of them.
    """
    doubled = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
    if doubled:
        problem = f"two columns are named {', '.join(doubled)}; rename one"
        raise DataError(recipe.data.source, [problem])
    problems = list(_absent(frame, recipe))
    warnings: list[str] = []
    records = frame
    if not problems:
        records = without_copies(frame, recipe.columns.features, recipe.target)
        warnings += _copies(len(frame) - len(records), len(frame), recipe)
    if recipe.target in frame:
        problems += check_target(frame[recipe.target], recipe, records=len(records))
    found, odd = check_features(frame, recipe.columns, records)
    problems += found
    warnings += odd
    found, odd = _check_split_column(frame, recipe)
    problems += found
    warnings += odd
    if recipe.target in frame and not problems:
        known = records[records[recipe.target].notna()]
        problems += _leaks(known, recipe)
        warnings += _near_leaks(known, recipe)
    if problems:
        raise DataError(recipe.data.source, problems)
    return warnings


def check_split(split: Split, recipe: Recipe) -> list[str]:
    """Check a split of a checked table; return warnings about data that is no reason to stop.

    Raises:
        DataError: The split has problems; the error lists all of them.
    """
    problems: list[str] = []
    warnings: list[str] = []
    if recipe.task != "regression":
        problems += _classes(split, recipe)
        warnings += _left_out(split, recipe)
    for name in recipe.columns.features:
        distinct = split.train[name].nunique()
        if distinct == 0:
            problems.append(f"{name}: has no value in any training row; remove it from the columns")
        elif distinct == 1 and split.holdout[name].nunique() > 1:
            warnings.append(
                f"{name}: has one value in all training rows, and others in the holdout"
            )
    like = find_duplicates(split, recipe.columns.features, recipe.target)
    share = like.copies / len(split.holdout)
    if like.copies >= _FEW_COPIES and share > recipe.checks.duplicates:
        problems.append(_copied(like.copies, share))
    elif like.alike:
        warnings.append(
            f"{like.alike:,} of the holdout rows ({like.alike / len(split.holdout):.2%}) "
            "have the same features as a training row; where they are copies, they flatter "
            "every metric"
        )
    if problems:
        raise DataError(recipe.data.source, problems)
    return warnings


def _absent(frame: pd.DataFrame, recipe: Recipe) -> Iterator[str]:
    present = [str(name) for name in frame.columns]
    for name in recipe.used_columns:
        if name not in frame:
            what = f"the target {name!r}" if name == recipe.target else f"column {name!r}"
            yield f"{what} is absent; {suggestion(name, present)}"


def _copies(copies: int, rows: int, recipe: Recipe) -> Iterator[str]:
    if copies >= _FEW_COPIES and copies / rows > recipe.checks.duplicates:
        yield copies_note(copies, rows)


def _check_split_column(frame: pd.DataFrame, recipe: Recipe) -> tuple[list[str], list[str]]:
    by = recipe.split
    if isinstance(by, FractionSplit) or by.column not in frame:
        return [], []
    missing = int(frame[by.column].isna().sum())
    if not isinstance(by, TimeSplit):
        odd = f"{by.column}: {missing:,} rows have no group, and count as one group together"
        return [], [odd] if missing else []
    if (problem := unreadable_times(frame[by.column])) is not None:
        return [f"split.column: {by.column}: {problem}"], []
    odd = f"{by.column}: {missing:,} rows have no time, and are left out"
    return [], [odd] if missing else []


def _leaks(frame: pd.DataFrame, recipe: Recipe) -> Iterator[str]:
    found = leaks(frame, recipe.target, recipe.columns, recipe.task)
    for name, how in found.items():
        if name not in recipe.checks.accept_leakage:
            yield (
                f"{name}: {how}; remove it from the columns, or, when it is known at the time of "
                f"prediction, accept it: checks.accept_leakage: [{name}]"
            )


def _near_leaks(frame: pd.DataFrame, recipe: Recipe) -> Iterator[str]:
    found = near_leaks(frame, recipe.target, recipe.columns, recipe.task)
    for name, strength in found.items():
        if name not in recipe.checks.accept_leakage:
            yield (
                f"{name}: tells the target almost perfectly by itself ({strength:.4f}); "
                "is it known at the time of prediction?"
            )


def _classes(split: Split, recipe: Recipe) -> Iterator[str]:
    rarest = int(pd.concat([split.train, split.holdout])[recipe.target].value_counts().min())
    fix = _other_split(recipe, rarest)
    train, holdout = (set(side[recipe.target]) for side in (split.train, split.holdout))
    for name, labels in (("training rows", train), ("rows of the holdout", holdout)):
        if len(labels) == 1:
            yield f"{recipe.target}: all {name} have {class_names(labels)}; {fix}"
    if unseen := holdout - train:
        yield (
            f"{recipe.target}: the holdout has {class_names(unseen)}, and no training row has; "
            f"{fix}"
        )


def _other_split(recipe: Recipe, rarest: int) -> str:
    """Return how to change the split so that both sides get a label that `rarest` rows have."""
    by = recipe.split
    if not isinstance(by, FractionSplit | TimeSplit):
        return "set another seed, which holds out other groups, or add groups with each label"
    fraction = by if isinstance(by, FractionSplit) else FractionSplit(by="fraction")
    # A stratified side has a row of a label once its share of the label's rows is at least one row.
    least = math.ceil(100 / max(rarest, 2)) / 100
    share = min(max(fraction.holdout, least), 1 - least)
    held = [] if share == fraction.holdout else [f"holdout: {share:g}"]
    if isinstance(by, TimeSplit):
        other = f"split: {{{', '.join(['by: fraction', *held])}}}"
        return (
            f"move the days of split.train and split.holdout, or set {other}, which mixes the days"
        )
    changes = [f"split.{one}" for one in [*([] if by.stratify else ["stratify: true"]), *held]]
    return f"set {' and '.join(changes)}, or add rows" if changes else "add rows"


def _left_out(split: Split, recipe: Recipe) -> Iterator[str]:
    train, holdout = (set(side[recipe.target]) for side in (split.train, split.holdout))
    if absent := train - holdout:
        yield (
            f"{recipe.target}: no row of the holdout has {class_names(absent)}; "
            "averages over the classes are those over the others"
        )


def _copied(copies: int, share: float) -> str:
    return (
        f"{copies:,} of the holdout rows ({share:.1%}) are also among the training rows, so the "
        "evaluation would praise memory; remove the duplicates, split by group, or, when they are "
        "different things that look alike, accept it: "
        f"checks.duplicates: {min(1.0, math.ceil(share * 100) / 100):g}"
    )
