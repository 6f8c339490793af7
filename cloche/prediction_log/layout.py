"""The names of the prediction log's files and folders, relative to its destination."""

from datetime import date
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

COUNTS, LABELS, QUARANTINE, RECEIPTS = "counts", "labels", "quarantine", "receipts"
_COMPACTED = "compacted"


def model_folder(model: str) -> str:
    """Return the folder of a model's predictions."""
    return f"model={quoted(model)}"


def day_folder(model: str, day: date) -> str:
    """Return the folder of the predictions of a day (UTC)."""
    return f"{model_folder(model)}/date={day.isoformat()}"


def segment_file(model: str, day: date, version: str, segment: str) -> str:
    """Return the file with the rows that one segment has of a day."""
    return f"{day_folder(model, day)}/{_version(version)}-{segment}.parquet"


def compacted_file(model: str, day: date, version: str, key: str) -> str:
    """Return the file that replaces several; `key` is decided by their names."""
    return f"{day_folder(model, day)}/{_version(version)}-{_COMPACTED}-{key}.parquet"


def is_compacted(path: str) -> bool:
    """Tell whether a file has replaced others, which its metadata names."""
    return f"-{_COMPACTED}-" in PurePosixPath(path).name


def counts_file(server: str, name: str) -> str:
    """Return the file with the counts of one process of a server."""
    return f"{COUNTS}/{server}-{name}.json"


def labels_folder(model: str) -> str:
    """Return the folder of a model's labels."""
    return f"{LABELS}/{model_folder(model)}"


def labels_file(model: str, arrived: date, name: str) -> str:
    """Return a file with labels, by the day (UTC) on which they arrived."""
    return f"{labels_folder(model)}/arrived={arrived.isoformat()}/{name}.parquet"


def quarantine_folder(model: str) -> str:
    """Return the folder of a model's labels that fit no prediction."""
    return f"{QUARANTINE}/{model_folder(model)}"


def receipt_file(name: str) -> str:
    """Return the file of a receipt."""
    return f"{RECEIPTS}/{name}.json"


def model_of(path: str) -> str:
    """Return the model of a file, from its path; empty if it belongs to none."""
    return _part(path, "model")


def day_of(path: str) -> date | None:
    """Return the day of a file of predictions or labels, from its path."""
    text = _part(path, "date") or _part(path, "arrived")
    return date.fromisoformat(text) if text else None


def version_of(path: str) -> str:
    """Return the version of a file of predictions, from its name."""
    return unquote(PurePosixPath(path).name.partition("-")[0])


def _part(path: str, name: str) -> str:
    parts = (part.partition("=") for part in path.split("/"))
    return next((unquote(value) for key, _, value in parts if key == name), "")


def quoted(text: str) -> str:
    """Quote a name, so that it is one part of a path."""
    return quote(text, safe="")


def _version(version: str) -> str:
    """Quote a version for the name of a file, in which a hyphen ends it."""
    return quoted(version).replace("-", "%2D")
