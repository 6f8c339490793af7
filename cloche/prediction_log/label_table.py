"""A table of true values as labels in the form of the log, with all of its mistakes at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from cloche.prediction_log.errors import LabelMistakes
from cloche.prediction_log.label_columns import LABELS, PREDICTION_ID
from cloche.prediction_log.label_values import label_number, label_text
from cloche.values.datetimes import parse_datetimes

_SHOWN = 3


@dataclass(frozen=True)
class LabelColumns:
    """The columns of a table of labels.

    Attributes:
        id: Column with the id of the prediction or of its request.
        label: Column with the true value; None if the table takes labels back.
        time: Column with the time at which each value became known; None if there is none.
        row: Column with the row within the request; None for the id's only row, or all of them.
        key_kind: What the ids are: `prediction_id` or `request_id`.
    """

    id: str
    label: str | None = None
    time: str | None = None
    row: str | None = None
    key_kind: str = PREDICTION_ID

    @property
    def names(self) -> list[str]:
        """Every column that is read, once."""
        return list(dict.fromkeys(filter(None, (self.id, self.label, self.time, self.row))))


def label_table(frame: pd.DataFrame, columns: LabelColumns, source: str) -> pa.Table:
    """Return the labels of a table, without rows whose value is missing and copies of a label.

    Args:
        frame: n rows with the columns.
        columns: Which column is what.
        source: Name of the table, for messages.

    Returns:
        At most n rows with `key_kind`, `key`, `row`, `label`, `label_number`, `retracted` and
        `labelled_at`.

    Raises:
        LabelMistakes: A column is absent or misread, an id is empty, or an id has two labels.
    """
    if absent := [name for name in columns.names if name not in frame.columns]:
        known = ", ".join(map(str, frame.columns))
        raise LabelMistakes(source, [f"no column {name!r}; there are {known}" for name in absent])
    if columns.label is not None:
        frame = frame[frame[columns.label].notna()]
    found = {
        "key": _texts(frame[columns.id]),
        "row": _whole(frame[columns.row]) if columns.row else [None] * len(frame),
        "label": _texts(frame[columns.label]) if columns.label else [None] * len(frame),
        "labelled_at": _times(frame[columns.time]) if columns.time else [None] * len(frame),
    }
    labels = pd.DataFrame(found, index=frame.index, dtype=object)
    if problems := list(_problems(frame, labels, columns)):
        raise LabelMistakes(source, problems)
    labels = labels.drop_duplicates(["key", "row"], keep="last")
    texts = labels["label"].tolist()
    numbers = [None if text is None else label_number(text) for text in texts]
    fields: dict[str, Any] = {
        "key_kind": [columns.key_kind] * len(labels),
        "label_number": numbers,
        "retracted": [columns.label is None] * len(labels),
        **{name: labels[name].tolist() for name in found},
    }
    kept = [field for field in LABELS if field.name in fields]
    return pa.table({f.name: pa.array(fields[f.name], f.type) for f in kept})


def _problems(frame: pd.DataFrame, labels: pd.DataFrame, columns: LabelColumns) -> Iterator[str]:
    empty = frame[columns.id].isna().to_numpy() | labels["key"].isin(["", None]).to_numpy()
    if empty.any():
        yield f"{columns.id}: is empty in {int(empty.sum()):,} row(s); give each label its id"
    for column, name, wanted in (
        (columns.row, "row", "a whole number from 0"),
        (columns.time, "labelled_at", "a time like 2013-08-31 or 2013-08-31T14:05:00Z"),
        (columns.label, "label", "a text, number or truth value"),
    ):
        if column is None:
            continue
        wrong = labels[name].isna() & frame[column].notna()
        if wrong.any():
            yield f"{column}: {_shown(frame[column][wrong])} is not {wanted}"
    again = labels[~empty].drop_duplicates(["key", "row", "label"])
    twice = again.loc[again.duplicated(["key", "row"]), "key"]
    if len(twice):
        yield (
            f"{columns.label}: {twice.nunique():,} id(s) have two labels, as {_shown(twice)}; keep "
            "the one that holds"
        )


def _texts(values: pd.Series) -> list[str | None]:
    """Return each value as text, missing where it has none; equal values are read once."""
    codes, uniques = pd.factorize(values)

    def text(value: object) -> str | None:
        try:
            return label_text(value)
        except ValueError:
            return None

    # One more for the code -1 of missing values.
    texts = [*(text(value) for value in uniques), None]
    return [texts[code] for code in codes]


def _whole(values: pd.Series) -> list[int | None]:
    numbers = pd.to_numeric(values, errors="coerce")
    fits = (numbers >= 0) & (numbers % 1 == 0) & (numbers < 2**31)
    return [int(n) if fit else None for n, fit in zip(numbers, fits, strict=True)]


def _times(values: pd.Series) -> Sequence[object]:
    read = parse_datetimes(values)
    if read is None:
        return [None] * len(values)
    times = read.values.dt.tz_localize("UTC").dt.floor("us").astype(object)
    return list(times.where(times.notna(), None))


def _shown(values: pd.Series) -> str:
    return ", ".join(repr(value) for value in values.drop_duplicates().head(_SHOWN))
