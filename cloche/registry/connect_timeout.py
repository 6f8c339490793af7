"""Timeouts for MLflow's stores, after which a command fails with a message.

By default MLflow's client retries an unreachable server for minutes, waits for a silent one for a
quarter of an hour, and for one that sends a byte now and then forever. If the user has set MLflow's
own variables for retries and timeouts, they apply instead.
"""

import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from cloche.drivers import install_command
from cloche.values.passwords import without_password

SECONDS = 15.0
_RETRIES, _TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
_SOON = {_RETRIES: "1", _TIMEOUT: "6"}  # two attempts within `SECONDS`
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_SQLITE = "sqlite:///"
_Answer = TypeVar("_Answer")


def shorten_timeouts(environment: MutableMapping[str, str]) -> None:
    """Shorten the timeouts of MLflow's client, for callers that retry or check the server."""
    for name, value in _SOON.items():
        environment.setdefault(name, value)
    environment.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def require_stores(*, to_write: bool = False) -> None:
    """Check that the tracking store and the registry answer, before work begins.

    Args:
        to_write: Whether the work writes its results into them.

    Raises:
        MlflowException: A store does not answer, or refuses the request.
    """
    import mlflow  # noqa: PLC0415  # slow: importing this module must not take seconds
    from mlflow import MlflowClient  # noqa: PLC0415

    tracking, registry = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    if to_write:
        for uri in {tracking, registry}:
            _require_writable(uri)
    client = MlflowClient  # called in the thread that requests: a store may connect when created
    _reach(registry, lambda: client(tracking, registry).search_registered_models(max_results=1))
    if tracking != registry:
        _reach(tracking, lambda: client(tracking, registry).search_experiments(max_results=1))


def _reach(uri: str, ask: Callable[[], object]) -> None:
    address = urlsplit(uri)
    if address.scheme in ("http", "https"):
        with _short_timeouts():
            timed_call(uri, ask)
    else:
        check_database(uri)


def timed_call(uri: str, ask: Callable[[], _Answer]) -> _Answer:
    """Return the result of a request to a store, if it comes within `SECONDS`.

    Args:
        uri: The address of the store.
        ask: The function that sends the request. If it takes longer, it continues in a daemon
            thread.

    Raises:
        MlflowException: The timeout has passed, or the request failed.
        Exception: Any other exception of `ask`.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  # see `require_stores`

    found: list[tuple[Any, Exception | None]] = []

    def run() -> None:
        try:
            found.append((ask(), None))
        except Exception as error:  # noqa: BLE001  # raised again by the waiting thread
            found.append((None, error))

    asking = threading.Thread(target=run, name="first-question", daemon=True)
    asking.start()
    asking.join(None if _has_user_settings() else SECONDS)
    if not found:  # with the message of MLflow's own client
        raise MlflowException(f"API request to {uri} failed with exception timed out")
    answer, error = found[0]
    if error is not None:
        raise error
    return answer  # type: ignore[no-any-return]


def check_database(uri: str) -> None:
    """Check that the database of a store accepts us, if it is a file or its address names a host.

    MLflow itself tries ten times, for two minutes, and then shows a traceback.

    Raises:
        MlflowException: The driver is not installed, or the connection fails.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  # see `require_stores`

    if (file := _file(uri)) is not None and file.is_file():
        try:
            with closing(sqlite3.connect(file)) as database:
                database.execute("SELECT name FROM sqlite_master")
        except sqlite3.DatabaseError as error:
            raise MlflowException(
                f"{file}: {error}. Name another registry in MLFLOW_TRACKING_URI."
            ) from error
    address = urlsplit(uri)
    try:
        port = address.port or _PORTS.get(address.scheme.partition("+")[0])
    except ValueError:  # a password with a special character, which SQLAlchemy parses differently
        return
    if not address.hostname or port is None:
        return
    from mlflow.store.db import utils  # noqa: PLC0415  # likewise

    try:
        engine = utils.create_sqlalchemy_engine(uri)
        socket.create_connection((address.hostname, port), SECONDS).close()
    except ImportError as error:
        raise MlflowException(
            f"{without_password(uri)} needs {error.name}: {install_command(error)}"
        ) from error
    except OSError as error:
        raise MlflowException(
            f"{without_password(uri)} does not answer ({error.strerror or error}). Start it, or "
            "name another in MLFLOW_TRACKING_URI."
        ) from error
    timed_call(uri, lambda: _log_in(engine, uri))


def _log_in(engine: Any, uri: str) -> None:
    """Connect to a database once; SQLAlchemy's error would quote statements and links."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  # see `require_stores`
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  # likewise

    try:
        engine.connect().close()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        raise MlflowException(
            f"{without_password(uri)} refuses us: {reason}. Correct the user, the password or the "
            "database in MLFLOW_TRACKING_URI, or ask whoever administers it."
        ) from error
    finally:
        engine.dispose()


def _require_writable(uri: str) -> None:
    """Check that a SQLite file and its folder, which holds the journal, are writable."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  # see `require_stores`

    file = _file(uri)
    if file is None or not file.is_file():
        return
    for path in (file, file.parent):
        if not os.access(path, os.W_OK):
            raise MlflowException(
                f"{path} cannot be written by this user, and the registry lies there. Grant the "
                "right to write, or name another registry in MLFLOW_TRACKING_URI."
            )


def _file(uri: str) -> Path | None:
    """Return the file of a SQLite database; None for another store."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]).absolute()


def _has_user_settings() -> bool:
    return os.environ.get(_RETRIES, _SOON[_RETRIES]) != _SOON[_RETRIES] or (
        os.environ.get(_TIMEOUT, _SOON[_TIMEOUT]) != _SOON[_TIMEOUT]
    )


@contextmanager
def _short_timeouts() -> Iterator[None]:
    """Set short timeouts for one check: later requests may store the result of hours of work."""
    before = {name: os.environ.get(name) for name in _SOON}
    shorten_timeouts(os.environ)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
