"""Guesses the role of each column of a table without a recipe."""

import re
from dataclasses import dataclass, field
from typing import Final

import pandas as pd

from cloche.training.dataset.checks.leakage import leaks
from cloche.training.dataset.features import unfit_kind
from cloche.training.dataset.reading.datetimes import unreadable_times
from cloche.training.dataset.reading.formatted_values import formatted_note
from cloche.training.recipe.metric_catalog import Role, Task
from cloche.training.recipe.sections import Columns

_NAMED_LIKE_AN_ID = re.compile(
    r"(^|_)(id|uuid|guid|key|index|row|rownum|unnamed: 0)$", re.IGNORECASE
)
_MOSTLY: Final = 0.9
_TEXT_WORDS: Final = 4
_TEXT_CHARACTERS: Final = 25
_FEW_CATEGORIES: Final = 50
_ROWS_FOR_EACH_CATEGORY: Final = 5


@dataclass
class Guess:
    """The guessed roles of a table's columns.

    Attributes:
        roles: Role → columns that can be features.
        left_out: Column → reason why it is no feature.
    """

    roles: dict[Role, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def features(self) -> list[str]:
        """All columns that can be features."""
        return [name for names in self.roles.values() for name in names]

    @property
    def columns(self) -> Columns | None:
        """The features by role; None if there are none."""
        named = {str(role): tuple(names) for role, names in self.roles.items() if names}
        return Columns.model_validate(named) if named else None


def guess_roles(frame: pd.DataFrame, target: str, task: Task) -> Guess:
    """Guess the role of each column except the target."""
    guess = Guess()
    for column in frame.columns.drop(target):
        name = str(column)
        reason = _useless(name, frame[column])
        role = None if reason else guess_role(frame[column])
        if role is None:
            guess.left_out[name] = (
                reason or formatted_note(frame[column]) or "many values with few rows each"
            )
        else:
            guess.roles.setdefault(role, []).append(name)
    if guess.columns is not None:
        for name, how in leaks(frame, target, guess.columns, task).items():
            guess.left_out[name] = how
            for names in guess.roles.values():
                if name in names:
                    names.remove(name)
    return guess


def guess_role(values: pd.Series) -> Role | None:
    """Return the role of a column that has values; None if it has too many different ones."""
    known = values.dropna()
    if pd.api.types.is_datetime64_any_dtype(known):
        return "datetime"
    if pd.api.types.is_bool_dtype(known) or isinstance(known.dtype, pd.CategoricalDtype):
        return "categorical"
    if pd.api.types.is_numeric_dtype(known):
        return "numeric"
    if is_time(known):
        return "datetime"
    text = known.astype("str")
    if text.nunique() > _FEW_CATEGORIES and _reads_like_text(text):
        return "text"
    few = max(_FEW_CATEGORIES, len(text) // _ROWS_FOR_EACH_CATEGORY)
    return "categorical" if text.nunique() <= few else None


def _useless(name: str, values: pd.Series) -> str | None:
    known = values.dropna()
    if known.empty:
        return "empty in every row"
    if (odd := unfit_kind(known) or _unfit_times(known)) is not None:
        return odd
    distinct = known.nunique()
    if distinct == 1:
        return "one value in all rows"
    whole = pd.api.types.is_integer_dtype(known) or pd.api.types.is_string_dtype(known)
    if whole and distinct > _MOSTLY * len(values) and _NAMED_LIKE_AN_ID.search(name):
        return "an identifier"
    if pd.api.types.is_integer_dtype(known) and distinct == len(values) > 2 and _counts(known):
        return "counts the rows"
    return None


def _unfit_times(values: pd.Series) -> str | None:
    if pd.api.types.is_datetime64_any_dtype(values) and unreadable_times(values) is not None:
        return "holds times outside of the years 1678 to 2261"
    return None


def _counts(values: pd.Series) -> bool:
    steps = values.diff().dropna()
    return bool((steps == 1).all())


def is_time(values: pd.Series) -> bool:
    """Return whether a column of text holds times that can be read."""
    try:
        # A lenient parser reads names and numbers as times, too; dates have digits and separators.
        sample = values.head(1000).astype("str")
        if not sample.str.contains(r"\d{1,4}[-/.:]\d{1,2}").all():
            return False
    except (ValueError, TypeError, AttributeError):
        return False
    return unreadable_times(values) is None


def _reads_like_text(text: "pd.Series[str]") -> bool:
    words = text.str.count(r"\s+").mean() + 1
    return bool(words >= _TEXT_WORDS or (words > 2 and text.str.len().mean() >= _TEXT_CHARACTERS))
