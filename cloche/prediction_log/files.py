"""Which files of predictions count: those that no compacted file has replaced."""

import json
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from cloche.prediction_log import layout
from cloche.prediction_log.columns import REPLACES_KEY
from cloche.prediction_log.destination import Destination, DestinationFailed, File


def prediction_files(
    destination: Destination, model: str, since: date | None = None, until: date | None = None
) -> list[File]:
    """List the files with the predictions of a model, without those that were replaced.

    A compacted file and the files that it replaces are there together if a compaction was killed,
    or if a segment was sealed twice.

    Args:
        destination: The destination of the log.
        model: The name of the model.
        since: The first day (UTC); None for all.
        until: The last day (UTC), inclusive; None for all.

    Raises:
        DestinationFailed: The destination does not answer, or a file is not readable.
    """
    found = []
    for file in destination.files(layout.model_folder(model), suffix=".parquet"):
        day = layout.day_of(file.path)
        if day is None or (since and day < since) or (until and day > until):
            continue
        found.append(file)
    replaced = {
        path
        for file in found
        if layout.is_compacted(file.path)
        for path in replaced_files(destination, file.path)
    }
    return [file for file in found if file.path not in replaced]


def replaced_files(destination: Destination, path: str) -> list[str]:
    """Return the paths of the files that a compacted file replaces."""
    metadata = schema_of(destination, path).metadata or {}
    names: list[str] = json.loads(metadata.get(REPLACES_KEY.encode(), b"[]"))
    return names


def schema_of(destination: Destination, path: str) -> pa.Schema:
    """Read the schema of a file, with its metadata.

    Raises:
        DestinationFailed: The file is missing or not readable.
    """
    try:
        return pq.read_schema(destination.at(path), filesystem=destination.filesystem)
    except (OSError, pa.ArrowException) as error:
        raise DestinationFailed(f"{destination.shown(path)}: {error}") from error
