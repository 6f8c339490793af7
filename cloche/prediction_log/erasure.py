"""Rows that were erased stay erased: what the receipts of erasures say to whoever writes rows.

A spool on another machine may hold rows of a person whom somebody has erased. A receipt names the
person by the hash of the hash that the rows have, so that it gives nobody away, and whoever seals
leaves the person's rows out that are older than the receipt.
"""

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cloche.prediction_log import layout
from cloche.prediction_log.destination import Destination

FORGOTTEN = "forget-"


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
        erased: dict[str, int] = {}
        for receipt in self._read.values():
            for person, moment in receipt.items():
                erased[person] = max(moment, erased.get(person, 0))
        subjects = table["subject"].combine_chunks().dictionary_encode() if erased else None
        if subjects is None or not len(subjects.dictionary):
            return table
        ends = [erased.get(trace(subject), -1) for subject in subjects.dictionary.to_pylist()]
        codes = np.asarray(subjects.indices.fill_null(len(ends)))
        until = np.array([*ends, -1], np.int64)[codes]
        received = np.asarray(table["received_at"].cast(pa.int64()))
        if not (gone := received <= until).any():
            return table
        return table.filter(pc.invert(pa.array(gone)))
