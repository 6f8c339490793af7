"""The logged rows of a model by version and day: counts of all, and a bounded sample of each.

Counting is left to DuckDB; what is read into memory is bounded, whatever the log holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median_low
from typing import Any

import numpy as np
import pandas as pd

from cloche.prediction_log.columns import INPUT, OUTPUT
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.reading import VIEW, LoggedPredictions, Selection, read_log
from cloche.prediction_log.session import literal, quoted

DAY_ROWS = 10_000  # most rows of a version and day that are read
MOST_ROWS = 200_000  # most rows of all days and versions together
_MEMORY = "512MB"  # of DuckDB, beside which the sample is in memory
_DAY = "(epoch_us(received_at) // 86400000000)::INTEGER"
_PARTS = 1_000_000
_MOSTLY = 0.9  # of the share of rows that usually get a label
_HALF = 0.5  # share of the rows that a day needs if there are no older ones


@dataclass(frozen=True)
class LoggedDay:
    """What a version answered on a day (UTC), counted over all of its rows.

    Attributes:
        day: Days since 1970.
        rows: Number of logged rows.
        requests: Number of rows that they stand for, where the log is a sample.
        labelled: Number of logged rows that have a label.
        lag: Days from the end of the day until nine of ten of its labels had arrived; None without.
    """

    version: str
    day: int
    rows: int
    requests: float
    labelled: int
    lag: float | None

    @property
    def coverage(self) -> float:
        """The share of the rows that have a label."""
        return self.labelled / self.rows


@dataclass(frozen=True)
class Log:
    """The logged days of a model, with samples of their rows.

    Attributes:
        days: Counts of each version and day, in this order.
        inputs: Names of the logged inputs whose values are there, not hashes.
        sample: Columns `version`, `day`, `inclusion`, `label`, `label_number`, `i_…` and `o_…`, in
            the order in which the rows were received.
    """

    days: tuple[LoggedDay, ...]
    inputs: tuple[str, ...]
    sample: pd.DataFrame

    @property
    def versions(self) -> list[str]:
        """Numbers of the versions, the one that answered last at the end."""
        last: dict[str, tuple[int, int]] = {}
        for one in self.days:
            last[one.version] = max(last.get(one.version, (0, 0)), (one.day, one.rows))
        return sorted(last, key=lambda number: last[number])

    def days_of(self, version: str) -> list[LoggedDay]:
        """Return the days of a version, the oldest first."""
        return [one for one in self.days if one.version == version]

    def rows_of(self, version: str, day: int | None = None) -> pd.DataFrame:
        """Return the sample of a version's rows, of one day or of all."""
        chosen = self.sample["version"] == version
        return self.sample[chosen if day is None else chosen & (self.sample["day"] == day)]


def read_days(destination: Destination, selection: Selection) -> Log:
    """Count the selected rows by version and day, and read a sample of each.

    The sample is decided by the names of rows, so that it is the same each time.

    Raises:
        LogError: DuckDB is not installed.
        DestinationFailed: The destination does not answer.
    """
    with read_log(destination, selection, memory=_MEMORY) as logged:
        days = _counted(logged)
        inputs = tuple(name for name in logged.inputs if name not in logged.hashed)
        return Log(days, inputs, _sampled(logged, days, inputs))


def moment(day: int) -> datetime:
    """Return the beginning of a day that is given as days since 1970."""
    found: datetime = pd.Timestamp(day, unit="D", tz="UTC").to_pydatetime()
    return found


def _counted(logged: LoggedPredictions) -> tuple[LoggedDay, ...]:
    found: list[Any] = logged.connection.sql(
        f"SELECT version, {_DAY} AS day, count(*), sum(1 / inclusion), count(label), "
        f"(quantile_disc(epoch_us(arrived_at), 0.9) - ({_DAY} + 1) * 86400000000) / 86400000000.0 "
        f"FROM {VIEW} WHERE NOT duplicate GROUP BY version, {_DAY} ORDER BY 1, 2"
    ).fetchall()
    return tuple(LoggedDay(*one) for one in found)


def _sampled(
    logged: LoggedPredictions, days: tuple[LoggedDay, ...], inputs: tuple[str, ...]
) -> pd.DataFrame:
    most = min(DAY_ROWS, MOST_ROWS // max(len(days), 1))
    names = [INPUT + name for name in inputs]
    names += [name for name in logged.columns if name.startswith(OUTPUT)]
    listed = ", ".join(map(quoted, ["version", "inclusion", "label", "label_number", *names]))
    shares = " ".join(
        f"WHEN version = {literal(one.version)} AND {_DAY} = {one.day} "
        f"THEN {_PARTS * most // one.rows}"
        for one in days
        if one.rows > most
    )
    taken = f"CASE {shares} ELSE {_PARTS} END"
    where = f"hash(segment, place) % {_PARTS} < {taken}" if shares else "true"
    frame: pd.DataFrame = logged.table(f"{_DAY} AS day, {listed}", where).to_pandas()
    return frame.reset_index(drop=True)


def outputs_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the outputs of sampled rows, named as the model names them."""
    named = {
        name: name.removeprefix(OUTPUT)
        for name in rows.columns
        if name.startswith(OUTPUT) and not rows[name].isna().all()
    }
    return rows[list(named)].rename(columns=named).reset_index(drop=True)


def inputs_of(rows: pd.DataFrame, inputs: tuple[str, ...]) -> pd.DataFrame:
    """Return the logged inputs of sampled rows, named as the model names them."""
    named = {INPUT + name: name for name in inputs}
    return rows[list(named)].rename(columns=named).reset_index(drop=True)


def sampled_evenly(rows: int, most: int) -> "np.ndarray":
    """Return positions of at most `most` rows, spread evenly."""
    return np.arange(0, rows, max(1, -(-rows // most)))


def unfinished_days(days: Sequence[LoggedDay]) -> dict[int, str]:
    """Return the days whose labels have mostly not arrived, each with a sentence for people.

    A day is unfinished as long as the share of its rows that have a label is below nine tenths of
    what the older days have (their median); the first day, until half of its rows have one. The
    labels that come first are not a fair sample of all, so an unfinished day is judged by nothing.
    It is late if the older days had nine tenths of their labels at its age.
    """
    newest = max((one.day for one in days), default=0)
    found = {}
    for at, one in enumerate(days):
        older = days[:at]
        usual = median_low([other.coverage for other in older]) if older else _HALF / _MOSTLY
        if one.coverage >= _MOSTLY * usual and one.labelled:
            continue
        lags = [other.lag for other in older if other.lag is not None]
        late = bool(lags) and newest - one.day > max(lags)
        had = f"{one.coverage:.0%} of its rows have a label; older days have {usual:.0%}"
        found[one.day] = f"late: {had} and had them at that age" if late else had
    return found
