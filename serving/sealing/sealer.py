"""Seals the segments of a spool: each becomes Parquet files at the destination, and is removed.

A file's name follows from its segment, and so does its content: whoever is killed while it seals
leaves nothing that sealing again would not replace. A segment goes when its files are there.
"""

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from cloche.prediction_log import layout
from cloche.prediction_log.columns import (
    HASHED_KEY,
    MODEL_KEY,
    SEGMENT_KEY,
    SERVER_KEY,
    VERSION_KEY,
)
from cloche.prediction_log.destination import Destination, DestinationFailed
from cloche.prediction_log.erasure import SEALED, Erasures, rows_by_hour
from cloche.prediction_log.parquet import by_day, parquet
from cloche.serving.sealing.segment_labels import seal_labels
from cloche.serving.sealing.segment_table import predictions_table
from cloche.serving.spool.counters import has_ended, read_counts
from cloche.serving.spool.segment import TakenSegment

UNREADABLE = ".unreadable"
_NEVER_NAMED_SECONDS = 3600.0  # what a killed process has left before it had its name
_logger = logging.getLogger(__name__)


def seal_predictions(segment: TakenSegment, destination: Destination, erasures: Erasures) -> None:
    """Write the predictions of a segment, without those of people who were erased."""
    table = predictions_table(segment.name, segment.header, segment.records())
    model, version = segment.header["model"], segment.header["version"]
    metadata = {
        SERVER_KEY: segment.header["server"], MODEL_KEY: model, VERSION_KEY: version,
        SEGMENT_KEY: segment.name, HASHED_KEY: json.dumps(segment.header.get("hashed", [])),
    }  # fmt: skip
    days = [day for day, _ in by_day(table)]
    erasures.load()
    while True:
        left = erasures.kept(table)
        if len(left) < len(table):
            receipt = layout.receipt_file(f"{SEALED}{segment.name}")
            gone = json.dumps({"rows": {segment.name: rows_by_hour(erasures.gone(table), model)}})
            destination.put(receipt, gone.encode())
        kept = dict(by_day(left))
        for day in days:
            path = layout.segment_file(model, day, version, segment.name)
            if day in kept:
                destination.put(path, parquet(kept[day], metadata))
            else:
                destination.remove(path)  # from before the erasure
        if not erasures.load():  # else somebody was erased after the files were listed for it
            return


KINDS: dict[str, Callable[[TakenSegment, Destination, Erasures], None]] = {
    "predictions": seal_predictions,
    "labels": seal_labels,
}
"""What seals a segment, by the entry `kind` of its header; predictions have none."""


class Sealer:
    """Seals one spool for one destination, as long as the process lives."""

    def __init__(self, spool: Path, destination: str) -> None:
        self._spool, self._uri = spool, destination
        self._destination: Destination | None = None
        self._erasures: Erasures | None = None
        self._sent: dict[str, dict[str, Any]] = {}
        self._waiting: _Counted | None = None

    def seal(self, older_than: float = 0.0) -> int:
        """Seal segments and send counts; return the number of segments that were sealed.

        Args:
            older_than: The age in seconds from which on a segment is closed that is written to.

        Raises:
            DestinationFailed: The destination does not answer; what was not sealed waits.
        """
        destination = self._destination = self._destination or Destination.of(self._uri)
        erasures = self._erasures = self._erasures or Erasures(destination)
        if self._waiting is None or not older_than:
            self._waiting = _Counted.of(self._spool)
        sealed = 0
        for place in sorted(self._spool.glob("*.segment")):
            if not _is_due(place, older_than):
                continue
            if (segment := TakenSegment.take(place)) is not None:
                with segment:
                    sealed += self._seal(segment, place, destination, erasures)
        if not any(place.exists() for place in self._waiting.segments):
            self._send(self._waiting, destination)
            self._waiting = None
        return sealed

    def _seal(
        self, segment: TakenSegment, place: Path, destination: Destination, erasures: Erasures
    ) -> int:
        if segment.header:
            try:
                KINDS[segment.header.get("kind", "predictions")](segment, destination, erasures)
            except DestinationFailed:
                raise
            except Exception:
                # kept for people, and not tried for ever; `cloche log check` misses its rows
                place.rename(place.with_suffix(UNREADABLE))
                _logger.exception("%s cannot be sealed, and is kept as %s.", place, UNREADABLE)
                return 0
            if segment.cut:
                _logger.warning(
                    "%s ends within a record, as after a crash of the machine: the last %d bytes "
                    "are lost.", place, segment.cut,
                )  # fmt: skip
        segment.remove()
        return 1

    def _send(self, counted: "_Counted", destination: Destination) -> None:
        """Send counts whose rows are all at the destination."""
        for place, (counts, final) in counted.counts.items():
            if counts.get("counts") and counts != self._sent.get(place.stem):
                path = layout.counts_file(counts["server"], place.stem)
                destination.put(path, json.dumps(counts).encode())
                self._sent[place.stem] = counts
            if final:
                self._sent.pop(place.stem, None)
                place.unlink(missing_ok=True)
        for place in self._spool.glob(".*.counts"):
            with suppress(FileNotFoundError):
                if _now() - place.stat().st_mtime > _NEVER_NAMED_SECONDS:
                    place.unlink()


class _Counted(NamedTuple):
    """What was counted at one moment, and the segments that have the rows.

    Attributes:
        counts: The counts of each file, and whether its process had ended by then.
        segments: The segments of the spool, which must be sealed before the counts are sent:
            otherwise `cloche log check` would miss rows that are only on their way.
    """

    counts: dict[Path, tuple[dict[str, Any], bool]]
    segments: list[Path]

    @classmethod
    def of(cls, spool: Path) -> "_Counted":
        """Read the counts of a spool; rows are appended before they are counted."""
        counts = {}
        for place in sorted(spool.glob("*.counts")):
            final = has_ended(place)  # asked first: what is counted later is not final
            with suppress(FileNotFoundError):  # another sealer was faster
                counts[place] = read_counts(place), final
        return cls(counts, sorted(spool.glob("*.segment")))


def _is_due(place: Path, older_than: float) -> bool:
    """Tell whether a segment is closed, or was begun long enough ago; its name has the time."""
    try:
        closed = not place.stat().st_mode & 0o200
        begun = int(place.name[:12], 16) / 1000
    except (FileNotFoundError, ValueError):
        return False
    return closed or _now() - begun >= older_than


def _now() -> float:
    return time.time_ns() / 1e9
