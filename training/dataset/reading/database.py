"""Reads tables by SQL queries; messages never contain passwords."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import sqlalchemy
from pandas.errors import DatabaseError
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from cloche import drivers
from cloche.training.dataset.reading.formats import absent_columns
from cloche.training.errors import DataError


def source_name(url: str) -> str:
    """Return the URL without its password.

    Raises:
        DataError: SQLAlchemy does not understand the URL.
    """
    return _parsed(url).render_as_string(hide_password=True)


def database_files(url: str) -> list[Path]:
    """Return the file that holds the database, as with SQLite; empty if there is no such file."""
    path = _parsed(url).database
    return [Path(path)] if path and Path(path).is_file() else []


def read_query(url: str, query: str, columns: Sequence[str] | None) -> pd.DataFrame:
    """Return the rows that `query` selects.

    Raises:
        DataError: The database cannot be reached or refuses the query, a column is absent, or there
            are no rows.
    """
    parsed = _parsed(url)
    name = parsed.render_as_string(hide_password=True)
    _refuse_absent_file(parsed, name)
    try:
        engine = sqlalchemy.create_engine(parsed)
        try:
            with engine.connect() as connection:
                frame = pd.read_sql_query(sqlalchemy.text(query), connection)
        finally:
            engine.dispose()
    except NoSuchModuleError:
        raise DataError(name, [_no_dialect(parsed.drivername)]) from None
    except ModuleNotFoundError as error:
        install = drivers.install_command(error)
        raise DataError(name, [f"needs the driver; run: {install}"]) from None
    except (SQLAlchemyError, DatabaseError) as error:
        raise DataError(name, [f"the database refuses: {_reason(error, parsed)}"]) from None
    absent = absent_columns(columns or (), list(frame.columns))
    if absent:
        raise DataError(name, absent)
    if frame.empty:
        raise DataError(name, ["the query selects no rows"])
    return frame if columns is None else frame[list(columns)]


def _parsed(url: str) -> sqlalchemy.URL:
    try:
        return sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        scheme = url.partition("://")[0]
        problem = "is no SQLAlchemy URL; expected dialect://user:${PASSWORD}@host/database"
        raise DataError(f"{scheme}://…", [problem]) from None


def _refuse_absent_file(url: sqlalchemy.URL, name: str) -> None:
    # SQLite would create an empty database and then report a missing table.
    file = url.database
    if url.get_backend_name() == "sqlite" and file and file != ":memory:":
        path = Path(file.removeprefix("file:").partition("?")[0])
        if not path.exists():
            raise DataError(name, [f"no such file, seen from {Path.cwd()}"])


def _reason(error: Exception, url: sqlalchemy.URL) -> str:
    """Return the first line of the database's own message, without the password."""
    told = error.__cause__ if isinstance(error, DatabaseError) and error.__cause__ else error
    reason = str(getattr(told, "orig", None) or told).partition("\n")[0]
    return reason.replace(str(url.password), "***") if url.password else reason


def _no_dialect(driver: str) -> str:
    return (
        f"nothing reads {driver}:// here; a source is a path, an http(s) URL, or a database of "
        "sqlite, postgresql, mysql or another SQLAlchemy dialect that is installed"
    )
