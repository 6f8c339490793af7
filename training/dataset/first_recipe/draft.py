"""Drafts a first recipe for a table that has none yet, with a comment on every guess."""

import re
import textwrap
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import PurePath
from typing import Any, Final

import pandas as pd

from cloche.training.dataset.checks.duplicates import copies_note, without_copies
from cloche.training.dataset.checks.target_column import missing_target_note, rows_with_target
from cloche.training.dataset.features import unfit_kind
from cloche.training.dataset.first_recipe.column_roles import Guess, guess_roles, is_time
from cloche.training.dataset.reading.datetimes import parse_times
from cloche.training.dataset.reading.formatted_values import formatted_note, is_amount
from cloche.training.dataset.reading.table import Table
from cloche.training.errors import DataError
from cloche.training.recipe.metric_catalog import ROLES, Task
from cloche.training.recipe.sections import Data
from cloche.training.recipe.suggestions import suggestion
from cloche.training.recipe.yaml_document import render_value

_TARGET_NAMES: Final = ("target", "label", "labels", "class", "y", "outcome", "churn", "churned")
_FEWEST_ROWS: Final = 5
_FEW_NUMBERS: Final = 20
_ROWS_FOR_EACH_LABEL: Final = 5
_MANY_LABELS: Final = 100
_TRAIN_SHARE: Final = 0.75
_FEWEST_DAYS: Final = 8
_FEW_ROWS: Final = 2000
_BIRTH = re.compile(r"birth|dob|born", re.IGNORECASE)

_ESTIMATORS: dict[tuple[bool, bool], tuple[str, str]] = {
    # (regression, linear): class and reason
    (False, True): ("sklearn.linear_model.LogisticRegression", "sure-footed on {why}"),
    (False, False): ("sklearn.ensemble.HistGradientBoostingClassifier", "strong on tables"),
    (True, True): ("sklearn.linear_model.Ridge", "sure-footed on {why}"),
    (True, False): ("sklearn.ensemble.HistGradientBoostingRegressor", "strong on tables"),
}
_METRICS: dict[Task, list[str]] = {
    "binary": ["roc_auc", "log_loss", "f1"],
    "multiclass": ["balanced_accuracy", "log_loss", "accuracy"],
    "regression": ["rmse", "mae", "r2"],
}


def guess_target(frame: pd.DataFrame) -> str:
    """Return the column that is probably the target: one with a typical name, or the last one.

    Without a typical name it is the last column that can be predicted. Columns of numbers that are
    formatted as text are included, because they can be read as numbers.
    """
    names = {str(name).casefold(): str(name) for name in frame.columns}
    telling = next((names[name] for name in _TARGET_NAMES if name in names), None)
    if telling is not None:
        return telling
    columns = [str(name) for name in reversed(frame.columns)]
    return next((name for name in columns if _can_be_target(frame[name])), columns[0])


def _can_be_target(values: pd.Series) -> bool:
    known = values.dropna()
    return _no_task(known) is None or is_amount(known)


def draft_recipe(table: Table, data: Data, target: str | None = None) -> str:
    """Write a first recipe in YAML with comments; without a target, it is guessed.

    Raises:
        DataError: The target is absent, or nothing can be learned about it from this table.
    """
    frame = table.frame
    guessed = target is None
    target = guess_target(frame) if target is None else target
    if target not in frame:
        problem = f"no column {target!r}; {suggestion(target, map(str, frame.columns))}"
        raise DataError(table.source, [problem])
    known = rows_with_target(frame, target)
    frame = without_copies(known, [name for name in frame.columns if name != target], target)
    refusal = _no_task(frame[target])
    if refusal is not None:
        raise DataError(table.source, [f"{target}: {refusal}"])
    task = _task(frame[target])
    guess = guess_roles(frame, target, task)
    when = _split_column(frame, guess, target, task)
    if when is not None and guess.features != [when]:
        guess.roles["datetime"].remove(when)
        guess.left_out[when] = "tells when; the split is by it"
    if guess.columns is None:
        raise DataError(table.source, [_no_features(guess)])
    lines = [
        f"# A first recipe for {table.source}: {len(table.frame):,} rows. "
        "Read every guess before you trust it.",
        *_head(table, data, task),
        *_target(known[target], target, task, guessed=guessed),
        *_unanswered(len(table.frame) - len(known), len(table.frame)),
        *_copied(len(known) - len(frame), len(known)),
        *_split(known, when, task),
        *_columns(known, guess),
        *_estimator(frame, guess, task),
        "",
        f"metrics: {render_value(_METRICS[task])}  # the first one decides",
        "",
        "gate:",
        "  not_worse:",
        "    margin: 0.005  # how much worse than production is still accepted",
        "  # minimum:",
        f"  #   {_METRICS[task][0]}: …  # the worst value that may serve",
        "",
        "seed: 42",
    ]
    return "\n".join(lines) + "\n"


def _head(table: Table, data: Data, task: Task) -> Iterator[str]:
    yield f"name: {render_value(_name(table.source))}  # of the registered model"
    yield "description: Say in a line what is predicted, and for whom."
    yield f"task: {task}"
    yield ""
    yield "data:"
    yield f"  source: {render_value(data.source)}"
    if data.format != "auto":
        yield f"  format: {data.format}"
    if data.query is not None:
        yield f"  query: {render_value(data.query)}"
    if data.options:
        yield f"  options: {render_value(data.options)}"


def _no_task(target: pd.Series) -> str | None:
    """Return why a column cannot be predicted, with the fix; None if it can."""
    other = "name another target with --target"
    if len(target) < _FEWEST_ROWS:
        return (
            f"has a value in {len(target):,} row(s), and {_FEWEST_ROWS} are the fewest that can be "
            f"learned from; add rows, or {other}"
        )
    labels = target.nunique()
    if (kind := unfit_kind(target)) is not None:
        problem = f"{kind};"
    elif labels < 2:
        problem = "one value in all rows;"
    elif pd.api.types.is_datetime64_any_dtype(target) or is_time(target):
        problem = "holds times, and labels or numbers are predicted;"
    elif labels == 2 or pd.api.types.is_numeric_dtype(target):
        return None
    elif labels > min(_FEW_NUMBERS if is_amount(target) else _MANY_LABELS, len(target) // 2):
        note = formatted_note(target)
        problem = f"{note}, or" if note else f"{labels:,} labels of text;"
    else:
        return None
    return f"{problem} {other}"


def _task(target: pd.Series) -> Task:
    labels = target.nunique()
    if labels == 2:
        return "binary"
    return "regression" if _is_quantity(target, labels) else "multiclass"


def _is_quantity(target: pd.Series, labels: int) -> bool:
    """Return whether numbers are quantities, not labels, each of which would have several rows."""
    if not pd.api.types.is_numeric_dtype(target) or pd.api.types.is_bool_dtype(target):
        return False
    return bool(
        labels > _FEW_NUMBERS
        or (target % 1 != 0).any()
        or len(target) < _ROWS_FOR_EACH_LABEL * labels
        or target.value_counts().min() < 2
    )


def _no_features(guess: Guess) -> str:
    if not guess.left_out:
        return "the table has one column; add columns that tell something about it"
    reasons = "; ".join(f"{name}: {reason}" for name, reason in guess.left_out.items())
    return f"no column can be a feature: {reasons}. Add columns that are known before the target is"


def _name(source: str) -> str:
    """Return a name for the model: that of the file without wildcards, or that of its folder."""
    path = PurePath(re.split("[:@]", source)[-1])
    for part in (path.name.partition(".")[0], path.parent.name):
        name = re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-").lower()
        if name:
            return name
    return "model"


def _target(values: pd.Series, name: str, task: Task, *, guessed: bool) -> Iterator[str]:
    yield ""
    note = "  # guessed; say another with --target" if guessed else ""
    yield f"target: {render_value(name)}{note}"
    if task == "binary":
        positive = max(values.unique())
        positive = positive.item() if hasattr(positive, "item") else positive
        share = float((values == positive).mean())
        note = f"its probability is predicted; {share:.1%} of the rows have it"
        yield f"positive: {render_value(positive)}  # {note}"


def _unanswered(missing: int, rows: int) -> Iterator[str]:
    if missing:
        note = missing_target_note(missing, rows)
        yield f"# {note[0].upper()}{note[1:]}."


def _copied(copies: int, rows: int) -> Iterator[str]:
    if copies:
        note = copies_note(copies, rows)
        yield from textwrap.wrap(
            note[0].upper() + note[1:] + ".", 98, initial_indent="# ", subsequent_indent="# "
        )


def _split_column(frame: pd.DataFrame, guess: Guess, target: str, task: Task) -> str | None:
    """Return the first time column by which later rows can be held out."""
    for name in guess.roles.get("datetime", []):
        if _BIRTH.search(name) or parse_times(frame, name).dt.normalize().nunique() < _FEWEST_DAYS:
            continue
        cut = _cut(frame, name)
        late = parse_times(frame, name) >= pd.Timestamp(cut)
        sides = [frame.loc[side, target].nunique() for side in (late, ~late)]
        all_labels = sides[1] == frame[target].nunique() and sides[0] > 1
        if task == "regression" or all_labels:
            return name
    return None


def _cut(frame: pd.DataFrame, name: str) -> date:
    """Return the first day of the latest quarter of the rows; never the first day of all rows."""
    days = parse_times(frame, name).dropna().dt.normalize().sort_values()
    cut = days.iloc[int(len(days) * _TRAIN_SHARE)]
    later = days[days > days.iloc[0]]
    return max(cut, later.iloc[0]).date()


def _split(frame: pd.DataFrame, when: str | None, task: Task) -> Iterator[str]:
    yield ""
    yield "split:"
    if when is None:
        yield "  by: fraction  # better by group, with its column, when rows belong together"
        yield "  holdout: 0.25"
        if task != "regression":
            yield "  stratify: true  # the same shares of the labels on both sides"
        return
    cut = _cut(frame, when)
    days = parse_times(frame, when)
    train = [days.min().date().isoformat(), (cut - timedelta(days=1)).isoformat()]
    holdout = [cut.isoformat(), days.max().date().isoformat()]
    yield "  by: time  # as in use: learn from the past, be judged on what came later"
    yield f"  column: {render_value(when)}"
    yield f"  train: [{train[0]}, {train[1]}]"
    share = float((days.dropna() >= pd.Timestamp(cut)).mean())
    yield f"  holdout: [{holdout[0]}, {holdout[1]}]  # the latest {share:.0%} of the rows"
    if missing := int(days.isna().sum()):
        yield f"  # {missing:,} rows have no time, and are left out."


def _columns(frame: pd.DataFrame, guess: Guess) -> Iterator[str]:
    yield ""
    yield "# Keep only what is known at the moment of prediction."
    yield "columns:"
    for role in ROLES:
        names = guess.roles.get(role)
        if names:
            yield f"  {role}:"
            for name in names:
                yield f"    - {render_value(name)}{_about(frame[name], role)}"
    if guess.left_out:
        yield "  # left out:"
        for name, reason in guess.left_out.items():
            yield f"  #   {render_value(name)}: {reason}"


def _about(values: pd.Series, role: str) -> str:
    notes = [f"{values.nunique():,} values"] if role == "categorical" else []
    missing = values.isna().mean()
    if missing:
        notes.append(f"{missing:.1%} missing")
    return f"  # {', '.join(notes)}" if notes else ""


def _estimator(frame: pd.DataFrame, guess: Guess, task: Task) -> Iterator[str]:
    text = bool(guess.roles.get("text"))
    linear = text or len(frame) < _FEW_ROWS
    why = "text" if text else "few rows"
    name, reason = _ESTIMATORS[task == "regression", linear]
    params: dict[str, Any] = {"max_iter": 1000} if name.endswith("LogisticRegression") else {}
    yield ""
    yield "estimator:"
    yield f"  class: {name}  # {reason.format(why=why)}"
    if params:
        yield f"  params: {render_value(params)}"
