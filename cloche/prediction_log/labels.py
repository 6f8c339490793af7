"""Adds labels to the log: only what is new, once, and what fits no prediction into quarantine.

Nothing is changed or removed but in the quarantine, and there only what is among the labels
already. So an addition may be killed at any moment and made again, and what was read as of a moment
stays what it was.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cloche.prediction_log import layout
from cloche.prediction_log.columns import COLUMNS
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.files import prediction_files
from cloche.prediction_log.label_columns import (
    LABELS,
    PREDICTION_ID,
    QUARANTINED,
    REQUEST_ID,
    put_labels,
)
from cloche.prediction_log.reading import (
    Selection,
    label_files,
    newest_labels,
)
from cloche.prediction_log.session import create_view, local_files, session

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

UNKNOWN = "no prediction in the log has this id"


@dataclass(frozen=True)
class AddedLabels:
    """What an addition of labels did.

    Attributes:
        added: Number of predictions that had no label.
        revised: Number of predictions whose label was another.
        retracted: Number of predictions whose label was taken back.
        unchanged: Number of labels that the log had already.
        unknown: Number of labels that fit no prediction, and are in quarantine.
        released: Number of labels of earlier additions that left the quarantine.
        before: Day (UTC) on which the same labels were added before, so that nothing was written.
    """

    added: int = 0
    revised: int = 0
    retracted: int = 0
    unchanged: int = 0
    unknown: int = 0
    released: int = 0
    before: date | None = None


def add_labels(
    destination: Destination, model: str, labels: pa.Table, *, source: str, now: datetime
) -> AddedLabels:
    """Add the labels of a table to a model's log.

    Args:
        destination: Where the log is.
        model: Name of the registered model.
        labels: n labels, as `label_table` returns them.
        source: Name of the table, for people.
        now: The time.

    Raises:
        LogError: DuckDB is not installed.
        DestinationFailed: The destination does not answer, or cannot be written to.
    """
    name = _digest(labels)
    with session() as connection, local_files(destination) as local:
        everything = Selection(model, answers_only=False)
        files = local([file.path for file in prediction_files(destination, model)])
        create_view(connection, "prediction", files, COLUMNS)
        released = _release(connection, destination, model, local)
        found = label_files(destination, everything)
        done = [path for path in found if PurePosixPath(path).stem == name]
        if done:
            return AddedLabels(released=released, before=layout.day_of(done[0]))
        create_view(connection, "any_label", local(found), LABELS)
        newest_labels(connection, None)
        compared = _compare(connection, labels)
    outcomes = compared.column("outcome")
    stamp = {"arrived_at": now, "revision": microseconds(now), "source": source}
    unknown = compared.filter(pc.and_(pc.equal(outcomes, "unknown"), compared["new"]))
    # The labels come last, because their file says that all of the addition is written.
    if len(unknown):
        path = f"{layout.quarantine_folder(model)}/{name}-{microseconds(now):x}.parquet"
        put_labels(destination, path, unknown, {**stamp, "reason": UNKNOWN}, QUARANTINED)
    fresh = compared.filter(pc.is_in(outcomes, pa.array(["added", "revised", "retracted"])))
    put_labels(
        destination, layout.labels_file(model, now.astimezone(UTC).date(), name), fresh, stamp
    )
    counts = {count["values"]: count["counts"] for count in outcomes.value_counts().to_pylist()}
    return AddedLabels(**counts, released=released)


def microseconds(moment: datetime) -> int:
    """Return a time in microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _digest(labels: pa.Table) -> str:
    """Return a name for labels in any order: two tables with the same labels have the same."""
    ordered = labels.sort_by([(name, "ascending") for name in ("key", "row")]).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ordered.schema) as writer:
        writer.write_table(ordered)
    return hashlib.sha256(memoryview(sink.getvalue())).hexdigest()[:32]


def _known(connection: "DuckDBPyConnection", labels: pa.Table) -> pa.Table:
    """Return the places (`nth`) of the labels in a table whose prediction is in the log."""
    connection.register("asked", labels.append_column("nth", pa.array(range(len(labels)))))
    return connection.sql(
        " UNION ALL ".join(
            f"SELECT nth FROM (SELECT * FROM asked WHERE key_kind = '{kind}') a "
            f"SEMI JOIN prediction p ON p.{kind} = a.key AND (a.row IS NULL OR a.row = p.row)"
            for kind in (PREDICTION_ID, REQUEST_ID)
        )
    ).to_arrow_table()


def _compare(connection: "DuckDBPyConnection", labels: pa.Table) -> pa.Table:
    """Return labels with `outcome`, and `new`: whether the newest label is another."""
    connection.register("known", _known(connection, labels))
    return connection.sql(
        """
        SELECT * EXCLUDE (absent, same), NOT same AS new, CASE
            WHEN NOT known THEN 'unknown' WHEN same THEN 'unchanged' WHEN retracted THEN 'retracted'
            WHEN absent THEN 'added' ELSE 'revised' END AS outcome
        FROM (
            SELECT a.*, k.nth IS NOT NULL AS known, coalesce(n.retracted, true) AS absent,
            CASE WHEN coalesce(n.retracted, true) OR a.retracted
                THEN coalesce(n.retracted, true) AND a.retracted
                ELSE a.label = n.label OR coalesce(a.label_number = n.label_number, false)
            END AS same
            FROM asked a LEFT JOIN known k ON a.nth = k.nth LEFT JOIN newest_label n
            ON n.key_kind = a.key_kind AND n.key = a.key AND n.row IS NOT DISTINCT FROM a.row
        )
        """
    ).to_arrow_table()


def _release(
    connection: "DuckDBPyConnection",
    destination: Destination,
    model: str,
    local: Callable[[Sequence[str]], list[Path]],
) -> int:
    """Move quarantined labels whose prediction has come; return how many.

    They keep when they arrived, and count from then on wherever they are, so that it is no matter
    if a label is for a moment, or after a kill for longer, in both places.
    """
    paths = [f.path for f in destination.files(layout.quarantine_folder(model), suffix=".parquet")]
    tables = [pq.read_table(file) for file in local(paths)]
    if not tables:
        return 0
    known = set(_known(connection, pa.concat_tables(tables)).column("nth").to_pylist())
    first = 0
    for path, table in zip(paths, tables, strict=True):
        mask = pa.array([nth in known for nth in range(first, first + len(table))], pa.bool_())
        first += len(table)
        out, kept = table.filter(mask), table.filter(pc.invert(mask))
        if not len(out):
            continue
        day = out.column("arrived_at")[0].as_py().date()
        name = f"{PurePosixPath(path).stem}-{_digest(out)}"
        put_labels(destination, layout.labels_file(model, day, name), out, {})
        if len(kept):
            put_labels(destination, path, kept, {}, QUARANTINED)
        else:
            destination.remove(path)
    return len(known)
