"""Reads the rows of a SQL query as record batches; no message contains a password."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy
from pandas.errors import DatabaseError
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from cloche import drivers
from cloche.serving.errors import JobFailed, SettingsError


def shown(url: str) -> str:
    """Return the URL without its password.

    Raises:
        SettingsError: SQLAlchemy cannot parse the URL.
    """
    try:
        return sqlalchemy.make_url(url).render_as_string(hide_password=True)
    except ArgumentError as error:
        raise SettingsError(
            "--query needs a SQLAlchemy URL as INPUT, like sqlite:///shop.db or "
            "postgresql://HOST/DATABASE."
        ) from error


def files(url: str) -> list[str]:
    """Return the file of a database like SQLite's; empty for database servers."""
    path = sqlalchemy.make_url(url).database
    return [path] if path and Path(path).is_file() else []


def columns(url: str, query: str) -> list[str]:
    """Return the names of the columns that a query selects.

    Raises:
        SettingsError: SQLAlchemy lacks a dialect or a driver for the URL.
        JobFailed: The database cannot be reached, or rejects the query.
    """
    with _connection(url) as connection:
        return list(connection.execute(sqlalchemy.text(query)).keys())


def batches(url: str, query: str, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query in batches of `rows`, with one batch in memory at a time.

    Raises:
        SettingsError: SQLAlchemy lacks a dialect or a driver for the URL.
        JobFailed: The database cannot be reached, or rejects the query.
    """
    with _connection(url) as connection:
        streaming = connection.execution_options(stream_results=True, max_row_buffer=rows)
        for frame in pd.read_sql_query(sqlalchemy.text(query), streaming, chunksize=rows):
            table = pa.Table.from_pandas(frame, preserve_index=False).combine_chunks()
            yield from table.to_batches()


@contextmanager
def _connection(url: str) -> Iterator[Any]:
    name = shown(url)
    try:
        engine = sqlalchemy.create_engine(url)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()
    except NoSuchModuleError as error:
        raise SettingsError(f"{name}: SQLAlchemy has no dialect for it.") from error
    except ModuleNotFoundError as error:
        install = drivers.install_command(error)
        raise SettingsError(f"{name}: it needs a driver: {install}") from error
    except (SQLAlchemyError, DatabaseError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise JobFailed(f"{name}: the database refuses: {reason}") from None
