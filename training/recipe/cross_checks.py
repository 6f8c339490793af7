"""Checks that the parts of a recipe agree with each other, if each part is valid by itself.

The checks use whichever parts are valid, so that a mistake in one key does not hide mistakes in
others.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cloche.training.recipe.criteria.gate import Gate
from cloche.training.recipe.metric_catalog import METRICS, Task, metrics_for
from cloche.training.recipe.sections import Columns, Data
from cloche.training.recipe.suggestions import suggestion

_WEB = re.compile(r"https?://", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z][\w+.-]*://")


def disagreements(parts: Mapping[str, Any]) -> list[str]:
    """Return one message for each disagreement; it starts with the key.

    Args:
        parts: Name of a recipe's field → its validated value; fields may be absent.
    """
    return [
        *_data(parts),
        *_metrics(parts),
        *_columns(parts),
        *_task(parts),
    ]


def is_database(source: str) -> bool:
    """Return whether a source is a SQLAlchemy URL: any URL that is not `http://` or `https://`."""
    return bool(_URL.match(source)) and not is_web(source)


def is_web(source: str) -> bool:
    """Return whether a source is an `http://` or `https://` URL."""
    return bool(_WEB.match(source))


def _data(parts: Mapping[str, Any]) -> Iterator[str]:
    data: Data | None = parts.get("data")
    if data is None:
        return
    sample, database = data.source.startswith("sample:"), is_database(data.source)
    if data.format == "sample" and not sample:
        yield f"data.format: sample needs a source like sample:flights, not {data.source!r}"
    if data.format == "sql" and not database:
        yield "data.format: sql needs a SQLAlchemy URL as source, like sqlite:///flights.db"
    if data.format not in {"auto", "sample"} and sample:
        yield f"data.format: {data.source!r} is a sample; remove the format"
    if data.format != "auto" and data.source.startswith("log:"):
        yield f"data.format: {data.source!r} is a log; remove the format"
    if data.format not in {"auto", "sql"} and database:
        yield f"data.format: a database is not read as {data.format}; remove the format"
    if database and not data.query:
        yield "data.query: missing; a database needs a query, like: SELECT * FROM flights"
    if data.query and not database:
        yield "data.query: only a database takes one; remove it, or give a SQLAlchemy URL"


def _metrics(parts: Mapping[str, Any]) -> Iterator[str]:
    task: Task | None = parts.get("task")
    gate: Gate | None = parts.get("gate")
    metrics: tuple[str, ...] = parts.get("metrics") or ()
    named = [("metrics", name) for name in metrics]
    if gate is not None:
        named += gate.metrics()
    for key, name in named:
        if task is not None and task not in METRICS[name].tasks:
            choices = ", ".join(metrics_for(task))
            yield f"{key}: {name!r} is not defined for a {task} task; take one of {choices}"
    for name in sorted({name for name in metrics if metrics.count(name) > 1}):
        yield f"metrics: {name!r} is listed more than once"


def _columns(parts: Mapping[str, Any]) -> Iterator[str]:
    columns: Columns | None = parts.get("columns")
    if columns is None:
        return
    target = parts.get("target")
    if target in columns.features:
        yield f"columns: {target!r} is the target; remove it from the features"
    checks = parts.get("checks")
    for name in checks.accept_leakage if checks is not None else ():
        if name not in columns.features:
            known = suggestion(name, columns.features)
            yield f"checks.accept_leakage: {name!r} is not among the features; {known}"


def _task(parts: Mapping[str, Any]) -> Iterator[str]:
    task: Task | None = parts.get("task")
    if task is None or task == "binary":
        return
    if parts.get("positive") is not None:
        yield f"positive: only a binary task has a positive label, and this is {task}; remove it"
    if parts.get("threshold", 0.5) != 0.5:
        yield f"threshold: only a binary task has a threshold, and this is {task}; remove it"
