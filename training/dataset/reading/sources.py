"""Reads the table that a recipe's data section names, from any kind of source."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pandas as pd

from cloche.training.dataset.reading.database import database_files, read_query, source_name
from cloche.training.dataset.reading.download import download
from cloche.training.dataset.reading.files import find_files, is_parquet
from cloche.training.dataset.reading.formats import (
    Format,
    UnreadableError,
    absent_columns,
    read_file,
)
from cloche.training.dataset.reading.logged import LOG, read_logged
from cloche.training.dataset.reading.table import Table
from cloche.training.dataset.samples.catalog import find_sample
from cloche.training.errors import DataError
from cloche.training.recipe.cross_checks import is_database, is_web
from cloche.training.recipe.sections import Data

_SAMPLE = "sample:"


def load_table(data: Data, columns: Sequence[str] | None = None, *, target: str = "label") -> Table:
    """Read the table that `data` names.

    Args:
        data: The data section of a recipe or a policy.
        columns: Columns that are read; None for all.
        target: Column that gets the labels of logged rows.

    Raises:
        DataError: The table cannot be found or read, is empty, or lacks a column.
    """
    source = _with_secrets(data.source)
    if source.startswith(_SAMPLE):
        return Table(_sample(source, columns), source)
    if source.startswith(LOG):
        logged = read_logged(source, columns, target)
        return Table(logged.frame, logged.source, logged.times)
    if is_database(source):
        name = source_name(source)
        return Table(read_query(source, data.query or "", columns), name)
    if is_web(source):
        # The name is that of the recipe, in which variables stand for secrets.
        name = _without_secrets(data.source)
        with download(source, name) as path:
            return Table(_read([path], name, data, columns), name)
    return Table(_read(find_files(source), data.source, data, columns), data.source)


def source_files(source: str) -> list[Path]:
    """Return the local files that hold a table; a database may be one."""
    source = _with_secrets(source)
    if source.startswith((_SAMPLE, LOG)) or is_web(source):
        return []
    return database_files(source) if is_database(source) else find_files(source)


def _sample(source: str, columns: Sequence[str] | None) -> pd.DataFrame:
    frame = find_sample(source.removeprefix(_SAMPLE)).load()
    absent = absent_columns(columns or (), list(frame.columns))
    if absent:
        raise DataError(source, absent)
    return frame if columns is None else frame[list(columns)]


def _read(
    paths: Sequence[Path], source: str, data: Data, columns: Sequence[str] | None
) -> pd.DataFrame:
    frames: list[pd.DataFrame] = []
    problems: list[str] = []
    for path in paths:
        form = _format(path) if data.format == "auto" else cast("Format", data.format)
        prefix = f"{path}: " if len(paths) > 1 else ""
        try:
            frame = read_file(path, form, data.options, columns)
        except UnreadableError as error:
            problems += [f"{prefix}{problem}" for problem in error.problems]
            continue
        if frames and set(frame.columns) != set(frames[0].columns):
            problems.append(f"{prefix}{_difference(frame, frames[0], paths[0])}")
        frames.append(frame)
    if problems:
        raise DataError(source, problems)
    if columns is not None:
        frames = [frame[list(columns)] for frame in frames]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _format(path: Path) -> Format:
    return "parquet" if is_parquet(path) else "csv"


def _difference(frame: pd.DataFrame, first: pd.DataFrame, first_path: Path) -> str:
    lacking = [str(name) for name in first.columns if name not in frame.columns]
    extra = [str(name) for name in frame.columns if name not in first.columns]
    parts = [f"lacks {', '.join(lacking)}"] if lacking else []
    parts += [f"adds {', '.join(extra)}"] if extra else []
    return f"its columns differ from those of {first_path}: it {' and '.join(parts)}"


def _with_secrets(source: str) -> str:
    """Return `source` with each `${VARIABLE}` replaced by the environment's value."""
    names = re.findall(r"\$\{(\w+)\}", source)
    unset = [name for name in names if name not in os.environ]
    if unset:
        raise DataError(source, [f"the environment variable {name} is not set" for name in unset])
    return re.sub(r"\$\{(\w+)\}", lambda found: os.environ[found[1]], source)


def _without_secrets(url: str) -> str:
    """Return a web address without user, password and query, which may contain keys."""
    return re.sub(r"(?<=://)[^/@]*@", "", url).partition("?")[0]
