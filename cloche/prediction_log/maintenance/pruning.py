"""Pruning: predictions, labels and counts that are older than they may be are removed."""

import json
from datetime import UTC, date, datetime, time

from cloche.prediction_log import layout
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.maintenance.lock import exclusive

PRUNED = "prune-"
_HOUR = 3600


def prune(destination: Destination, model: str | None, before: date) -> int:
    """Remove the days (UTC) before one; return how many files were removed.

    Args:
        destination: The destination of the log.
        model: The model; None for all.
        before: The first day that is kept. Labels go by the day on which they arrived.

    Raises:
        LogError: Somebody else rewrites files of this log.
        DestinationFailed: The destination does not answer.
    """
    with exclusive(destination):
        # first: `cloche log check` must not miss what is being removed
        receipt = {"before": before.isoformat(), "model": model}
        name = f"{PRUNED}{before.isoformat()}" + (f"-{layout.quoted(model)}" if model else "")
        old = [
            file.path
            for file in destination.files()
            if (day := layout.day_of(file.path)) is not None
            and day < before
            and model in (None, layout.model_of(file.path))
        ]
        old += _old_counts(destination, before) if model is None else []
        if old:
            destination.put(layout.receipt_file(name), json.dumps(receipt).encode())
        for path in old:
            destination.remove(path)
    return len(old)


def _old_counts(destination: Destination, before: date) -> list[str]:
    """List the files of counts of processes that counted nothing since."""
    first = datetime.combine(before, time(), UTC).timestamp() // _HOUR
    found = []
    for file in destination.files(layout.COUNTS, suffix=".json"):
        counts = json.loads(destination.read(file.path) or b"{}").get("counts", [])
        if all(one["hour"] < first for one in counts):
            found.append(file.path)
    return found
