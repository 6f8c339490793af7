"""Reads what servers have logged of a model, with the labels that have arrived, as a table.

A source is `log:NAME`, with a query: `since` and `until`, the first and the last day (UTC) or a
time; `as_of`, the moment by which rows and labels had arrived; and `arms`, whose answers they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote, urlencode

import pandas as pd
import pyarrow as pa

from cloche.object_stores import StoreUnknown
from cloche.prediction_log.columns import COLUMNS, INPUT
from cloche.prediction_log.destination import DestinationFailed
from cloche.prediction_log.errors import LogError
from cloche.prediction_log.lookup import find_log
from cloche.prediction_log.reading import LoggedPredictions, Selection, read_log
from cloche.prediction_log.session import quoted
from cloche.training.errors import DataError
from cloche.training.recipe.suggestions import suggestion

LOG = "log:"
RECEIVED, ARRIVED = "received_at", "arrived_at"
_KEYS = ("since", "until", "as_of", "arms")
_WHOLE = r"-?\d{1,18}"


@dataclass(frozen=True)
class LoggedRows:
    """Logged rows as a table.

    Attributes:
        frame: The columns that were asked for, n rows from the first that was received.
        source: The source with the moment as of which it was read, so that it can be read again.
        times: `received_at` of each row, and `arrived_at` of its label, missing without one.
    """

    frame: pd.DataFrame
    source: str
    times: pd.DataFrame


def read_logged(source: str, columns: Sequence[str] | None, target: str) -> LoggedRows:
    """Read logged inputs, and the labels as the target, which is missing where there is none yet.

    A column that is no logged input may be one of the log's own, like `received_at`.

    Args:
        source: `log:NAME`, and a query.
        columns: Columns that are wanted; None for all logged inputs and the target.
        target: Name that the column of labels gets.

    Raises:
        DataError: The source is wrong, nothing is logged, or a wanted column is not.
    """
    selection = parse_source(source, now=datetime.now(UTC))
    try:
        with read_log(find_log(selection.model), selection) as log:
            known = [name for name in log.inputs if name not in log.hashed]
            wanted = [*known, target] if columns is None else columns
            select = _selected(log, source, wanted, target)
            table = log.table(", ".join([*select, RECEIVED, "label", "label_number", ARRIVED]))
    except (LogError, DestinationFailed, StoreUnknown) as error:
        raise DataError(source, [str(error)]) from None
    if not len(table):
        raise DataError(source, ["the log has no such rows; ask for other days, or see since when"])
    cells = {
        name: label_values(table) if name == target else table.column(f"c{nth}").to_pandas()
        for nth, name in enumerate(wanted)
    }
    times = table.select([RECEIVED, ARRIVED]).to_pandas()
    return LoggedRows(pd.DataFrame(cells), source_of(selection), times)


def parse_source(source: str, *, now: datetime) -> Selection:
    """Return what a source `log:NAME?…` selects, as of now unless it says otherwise.

    Raises:
        DataError: The source is wrong; the error lists all mistakes.
    """
    name, _, query = source.removeprefix(LOG).partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    problems = [f"{key}: is not known; {suggestion(key, _KEYS)}" for key in given.keys() - {*_KEYS}]
    moments: dict[str, datetime] = {}
    for key in ("since", "until", "as_of"):
        if key in given:
            try:
                moments[key] = _moment(given[key], end=key == "until")
            except ValueError:
                problems.append(f"{key}: {given[key]!r} is no day like 2026-01-31, and no time")
    if not name:
        problems.append("names no model; write log:NAME")
    if problems:
        raise DataError(source, problems)
    arms = tuple(filter(None, given.get("arms", "production").split(",")))
    return Selection(unquote(name), arms=arms, **{"as_of": now, **moments})  # type: ignore[arg-type]


def source_of(selection: Selection) -> str:
    """Return the source that selects the same rows at any later time."""
    moments = {key: getattr(selection, key) for key in ("since", "until", "as_of")}
    query = {key: moment.isoformat() for key, moment in moments.items() if moment is not None}
    if selection.arms != ("production",):
        query["arms"] = ",".join(selection.arms)
    return f"{LOG}{quote(selection.model)}?{urlencode(query, safe=':,')}"


def label_values(table: pa.Table) -> pd.Series:
    """Return labels as a CSV file would give them: numbers or truth values if all of them are.

    Args:
        table: n rows with `label` and `label_number`; a missing label stays missing.
    """
    texts: pd.Series = table.column("label").to_pandas()
    known = texts.dropna()
    if known.isin(["True", "False"]).all():
        return texts.map({"True": True, "False": False})
    numbers: pd.Series = table.column("label_number").to_pandas()
    if numbers.notna().sum() < len(known):
        return texts
    if len(known) == len(texts) and known.str.fullmatch(_WHOLE).all():
        return texts.astype("int64")
    return numbers


def _moment(text: str, *, end: bool) -> datetime:
    """Return a time in UTC; for a day its beginning, or as the end of a range the end of it."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return midnight + timedelta(days=1) if end else midnight


def _selected(log: LoggedPredictions, source: str, wanted: Sequence[str], target: str) -> list[str]:
    """Return wanted columns as SQL.

    Raises:
        DataError: Some are not logged as they were.
    """
    inputs = set(log.inputs)
    absent = [n for n in wanted if n != target and n not in inputs and n not in COLUMNS.names]
    hashed = [name for name in wanted if name in log.hashed]
    if absent:
        raise DataError(
            source,
            [f"the log lacks {', '.join(absent)}; log them: --log-inputs {','.join(absent)}"],
        )
    if hashed:
        raise DataError(
            source, [f"the log has hashes in place of {', '.join(hashed)}; leave --log-hash out"]
        )
    return [
        f"{quoted(INPUT + name if name in inputs else name)} AS c{nth}"
        for nth, name in enumerate(wanted)
        if name != target
    ]
