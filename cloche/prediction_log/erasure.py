"""Rows that were erased stay erased: what the receipts of erasures say to whoever writes rows.

A spool on another machine may hold rows of a person whom somebody has erased. A receipt names the
person by the hash of the hash that the rows have, so that it gives nobody away, and whoever seals
leaves the person's rows out that are older than the receipt.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cloche.prediction_log import layout
from cloche.prediction_log.destination import Destination

FORGOTTEN, SEALED = "forget-", "sealed-"  # by a command; by a sealer, later
MICROSECONDS_PER_HOUR = 3_600_000_000


def trace(subject: str) -> str:
    """Return what a receipt has in place of the `subject` of rows."""
    return hashlib.sha256(f"erased {subject}".encode()).hexdigest()


class Erasures:
    """The erasures at a destination, by what stands for a person: when, in microseconds."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._read: dict[str, Mapping[str, int]] = {}

    def load(self) -> bool:
        """Read receipts that are new, and tell whether there are any.

        Raises:
            DestinationFailed: The destination does not answer.
        """
        found = [
            file.path
            for file in self._destination.files(layout.RECEIPTS, suffix=".json")
            if file.path.startswith(f"{layout.RECEIPTS}/{FORGOTTEN}")
        ]
        fresh = [path for path in found if path not in self._read]
        for path in fresh:
            self._read[path] = json.loads(self._destination.read(path) or b"{}").get("erased", {})
        return bool(fresh)

    def kept(self, table: pa.Table) -> pa.Table:
        """Return the rows of a table that belong to nobody who was erased after they came."""
        return table.filter(pc.invert(self._is_gone(table)))

    def gone(self, table: pa.Table) -> pa.Table:
        """Return the other rows of a table."""
        return table.filter(self._is_gone(table))

    def _is_gone(self, table: pa.Table) -> pa.Array:
        erased: dict[str, int] = {}
        for receipt in self._read.values():
            for person, moment in receipt.items():
                erased[person] = max(moment, erased.get(person, 0))
        subjects = pc.dictionary_encode(table["subject"].combine_chunks())
        ends = [erased.get(trace(subject), -1) for subject in subjects.dictionary.to_pylist()]
        codes = np.asarray(subjects.indices.fill_null(len(ends)))
        until = np.array([*ends, -1], np.int64)[codes]
        return pa.array(np.asarray(table["received_at"].cast(pa.int64())) <= until)


def rows_by_hour(table: pa.Table, model: str) -> list[list[object]]:
    """Count rows by server, model, version and hour (since 1970, UTC), for a receipt."""
    hours = pc.divide(table["received_at"].cast(pa.int64()), MICROSECONDS_PER_HOUR).to_pylist()
    keys = zip(table["server"].to_pylist(), table["version"].to_pylist(), hours, strict=True)
    counted = Counter(keys)
    return [[server, model, version, hour, n] for (server, version, hour), n in counted.items()]
