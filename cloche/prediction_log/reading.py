"""Reads logged predictions beside the labels that had arrived by some moment.

A row of the log counts by when its request was received, and a label by when it arrived. So what is
read as of a moment in the past is the same at any later time, once the spools of that moment are in
the log.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cloche.prediction_log import layout
from cloche.prediction_log.columns import (
    ANSWERED_BELOW,
    COLUMNS,
    HASHED_KEY,
    INPUT,
)
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.files import prediction_files
from cloche.prediction_log.label_columns import LABELS
from cloche.prediction_log.session import (
    MEMORY,
    create_view,
    literal,
    local_files,
    quoted,
    session,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LIVE = ("production", "canary")  # the arms whose answers callers got
VIEW = "logged"
LABEL_COLUMNS = ("label", "label_number", "labelled_at", "arrived_at", "revision")


@dataclass(frozen=True)
class Selection:
    """Which rows of the log are read.

    Attributes:
        model: Name of the registered model.
        since: First moment at which a request was received, with a zone; None for the beginning.
        until: Moment before which it was received, with a zone; None for the end.
        versions: Numbers of the versions; empty for all.
        arms: The arms; by default those that answer callers, so that a shadow's rows are left out.
        as_of: Moment by which rows and labels had arrived, with a zone; None for now.
        answers_only: Whether failures and refusals are left out.
    """

    model: str
    since: datetime | None = None
    until: datetime | None = None
    versions: tuple[str, ...] = ()
    arms: tuple[str, ...] = LIVE
    as_of: datetime | None = None
    answers_only: bool = True


@dataclass(frozen=True)
class LoggedPredictions:
    """Logged predictions with their labels, as the view `logged` of a DuckDB session.

    The view has the columns of the log (`cloche.prediction_log.columns`); `label`, `label_number`,
    `labelled_at`, `arrived_at` and `revision` of the newest label, null without one; and
    `duplicate`: whether the same row of the same request is there with a later attempt, too.

    Attributes:
        connection: The session, which can be asked anything about the view.
        columns: Names of the view's columns.
        hashed: Names of the inputs that are logged as hashes in at least one file.
    """

    connection: "DuckDBPyConnection"
    columns: tuple[str, ...]
    hashed: frozenset[str]

    @property
    def inputs(self) -> list[str]:
        """Names of the logged inputs, as the model has them."""
        return [name.removeprefix(INPUT) for name in self.columns if name.startswith(INPUT)]

    def table(self, select: str = "*", where: str = "true") -> pa.Table:
        """Return rows without duplicates, in the order in which they were received.

        Args:
            select: Columns or expressions in SQL.
            where: Condition in SQL.
        """
        return self.connection.sql(
            f"SELECT {select} FROM {VIEW} WHERE NOT duplicate AND ({where}) "
            "ORDER BY received_at, request_id, row, segment, place"
        ).to_arrow_table()


@contextmanager
def read_log(
    destination: Destination, selection: Selection, *, memory: str = MEMORY, threads: int = 0
) -> Iterator[LoggedPredictions]:
    """Yield the selected predictions, joined with the newest label that had arrived by `as_of`.

    Files that a compaction replaced are ignored. Rows are read when the view is asked for them;
    only labels, and the keys of rows, are read at once.

    Args:
        destination: Where the log is.
        selection: Which rows.
        memory: Most memory that DuckDB takes.
        threads: Most threads; 0 for one for each core, at most 4.

    Raises:
        LogError: DuckDB is not installed.
        DestinationFailed: The destination does not answer.
    """
    with session(memory, threads) as connection, local_files(destination) as local:
        files = local(_prediction_files(destination, selection))
        columns = create_view(connection, "everything", files, COLUMNS)
        connection.execute(
            f"CREATE VIEW prediction AS SELECT * FROM everything WHERE {_condition(selection)}"
        )
        _find_superseded(connection)
        create_view(connection, "any_label", local(label_files(destination, selection)), LABELS)
        joins, newest = _join_labels(connection, selection.as_of)
        labels = ", ".join(
            f"CASE WHEN NOT {newest}.retracted THEN {newest}.{name} END AS {name}"
            for name in LABEL_COLUMNS
        )
        own = ", ".join(f"p.{quoted(name)}" for name in columns)
        connection.execute(
            f"CREATE VIEW {VIEW} AS SELECT {own}, {labels}, s.segment IS NOT NULL AS duplicate "
            f"FROM prediction p {joins} "
            "LEFT JOIN superseded s ON p.segment = s.segment AND p.place = s.place"
        )
        yield LoggedPredictions(
            connection, (*columns, *LABEL_COLUMNS, "duplicate"), _hashed_inputs(files)
        )


def label_files(destination: Destination, selection: Selection) -> list[str]:
    """Return the files with labels that may have arrived by the selection's moment."""
    last = selection.as_of.astimezone(UTC).date() if selection.as_of else date.max
    return [
        file.path
        for folder in (
            layout.labels_folder(selection.model),
            layout.quarantine_folder(selection.model),
        )
        for file in destination.files(folder, suffix=".parquet")
        if (layout.day_of(file.path) or date.min) <= last
    ]


def newest_labels(connection: "DuckDBPyConnection", as_of: datetime | None) -> None:
    """Make the table `newest_label` from the view `any_label`: a row for each key and row.

    A label that left the quarantine may be there twice, as the same revision.
    """
    arrived = "" if as_of is None else f"WHERE arrived_at <= {_moment(as_of)}"
    connection.execute(
        "CREATE TABLE newest_label AS SELECT key_kind, key, row, "
        "unnest(max(struct_pack(revision, source, label, label_number, retracted, labelled_at, "
        f"arrived_at))) FROM any_label {arrived} GROUP BY key_kind, key, row"
    )


def _prediction_files(destination: Destination, selection: Selection) -> list[str]:
    first = selection.since.astimezone(UTC).date() if selection.since else None
    ends = [end for end in (selection.until, selection.as_of) if end is not None]
    last = min(ends).astimezone(UTC).date() if ends else None
    return [
        file.path
        for file in prediction_files(destination, selection.model, first, last)
        if not selection.versions or layout.version_of(file.path) in selection.versions
    ]


def _condition(selection: Selection) -> str:
    conditions = ["true"]
    for column, values in (("arm", selection.arms), ("version", selection.versions)):
        if values:
            conditions.append(f"{column} IN ({', '.join(map(literal, values))})")
    if selection.since is not None:
        conditions.append(f"received_at >= {_moment(selection.since)}")
    if selection.until is not None:
        conditions.append(f"received_at < {_moment(selection.until)}")
    if selection.as_of is not None:
        conditions.append(f"received_at <= {_moment(selection.as_of)}")
    if selection.answers_only:
        conditions.append(f"status < {ANSWERED_BELOW}")
    return " AND ".join(conditions)


def _moment(moment: datetime) -> str:
    return f"{literal(moment.astimezone(UTC).isoformat())}::TIMESTAMPTZ"


def _find_superseded(connection: "DuckDBPyConnection") -> None:
    """Find the rows that are there again with a later attempt; most logs have few.

    An answer of production and one of a canary to the same request are attempts of one kind, and
    a shadow's is none of them.
    """
    live = ", ".join(map(literal, LIVE))
    key = f"hash(request_id, row, CASE WHEN arm IN ({live}) THEN '' ELSE arm END)"
    connection.execute(
        "CREATE TABLE repeated AS "
        f"SELECT {key} AS key FROM prediction WHERE status < {ANSWERED_BELOW} "
        "GROUP BY key HAVING count(*) > 1"
    )
    connection.execute(
        "CREATE TABLE superseded AS SELECT segment, place FROM ("
        "SELECT segment, place, row_number() OVER (PARTITION BY key, request_id, row "
        "ORDER BY attempt DESC, received_at DESC, segment DESC, place DESC) AS nth "
        f"FROM (SELECT *, {key} AS key FROM prediction WHERE status < {ANSWERED_BELOW}) "
        "WHERE key IN (FROM repeated)) WHERE nth > 1"
    )


def _join_labels(connection: "DuckDBPyConnection", as_of: datetime | None) -> tuple[str, str]:
    """Return the joins of predictions `p` with their labels, and the newest of them as a struct."""
    newest_labels(connection, as_of)
    kinds: list[Any] = connection.sql(
        "SELECT DISTINCT key_kind, row IS NULL FROM newest_label ORDER BY ALL"
    ).fetchall()
    joins = ""
    newest = "NULL::STRUCT(revision BIGINT, retracted BOOLEAN, label VARCHAR, label_number DOUBLE, "
    newest += "labelled_at TIMESTAMPTZ, arrived_at TIMESTAMPTZ)"
    for nth, (kind, every_row) in enumerate(kinds):
        name = f"label_{nth}"
        connection.execute(
            f"CREATE VIEW {name} AS SELECT key, row, struct_pack(revision, retracted, label, "
            "label_number, labelled_at, arrived_at) AS found FROM newest_label "
            f"WHERE key_kind = {literal(kind)} AND row IS {'' if every_row else 'NOT '}NULL"
        )
        joins += f" LEFT JOIN {name} ON p.{kind} = {name}.key"
        joins += "" if every_row else f" AND p.row = {name}.row"
        found = f"{name}.found"
        newest = found if not nth else (
            f"CASE WHEN {newest} IS NULL OR {found}.revision > ({newest}).revision "
            f"THEN {found} ELSE {newest} END"
        )  # fmt: skip
    return joins, f"({newest})"


def _hashed_inputs(files: list[Path]) -> frozenset[str]:
    found: set[str] = set()
    for file in files:
        found.update(
            json.loads((pq.read_schema(file).metadata or {}).get(HASHED_KEY.encode(), b"[]"))
        )
    return frozenset(found)
