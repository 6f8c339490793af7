"""The tracking store and the registry: a server, or a database that is asked directly."""

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from packaging.version import Version

from cloche import drivers
from cloche.contact import answered, connect
from cloche.serving.doctor.finding import Finding, State, fail, ok, warn
from cloche.serving.doctor.ports import has_open
from cloche.serving.registry.told import told

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "afs"})
_SECONDS = 10.0
_SKEW = 30.0  # half of a promotion's lease; S3 refuses 900, a webhook 300


def stores() -> Iterator[Finding]:
    """The tracking store, and the registry where it is another."""
    found = {"tracking": mlflow.get_tracking_uri()}
    if mlflow.get_registry_uri() != found["tracking"]:
        found["registry"] = mlflow.get_registry_uri()
    for check, uri in found.items():
        scheme = urlsplit(uri).scheme.partition("+")[0]
        if scheme in ("http", "https"):
            yield from _server(check, uri)
        elif scheme in _DATABASES:
            yield from _database(check, uri)
        else:
            yield ok(check, f"{uri} (not looked at further)")


def is_there() -> bool:
    """Whether there is a registry to ask: a client makes the database that it does not find."""
    file = _file(mlflow.get_registry_uri())
    return file is None or file.exists()


def _file(uri: str) -> Path | None:
    """The file of a database that lies in one."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _server(check: str, uri: str) -> Iterator[Finding]:
    try:
        answered(uri, lambda: MlflowClient(uri, uri).search_registered_models(max_results=1))
    except MlflowException as error:
        yield fail(check, told(error))
        return
    except requests.RequestException as error:
        yield fail(check, f"{uri}: {type(error).__name__}", "export MLFLOW_TRACKING_URI=URL")
        return
    yield ok(check, f"{uri} answers and lets us in")
    yield from _clock_and_version(uri)


def _clock_and_version(uri: str) -> Iterator[Finding]:
    """Both are open to everybody, also where MLflow asks for a password."""
    try:
        answer = requests.get(f"{uri.rstrip('/')}/version", timeout=_SECONDS)
    except requests.RequestException:
        return  # behind something that lets only the API through
    now = datetime.now(UTC)
    if answer.ok and len(answer.text) < 30 and answer.text[:1].isdigit():
        yield _versions(Version(answer.text.strip()), Version(mlflow.__version__))
    if "date" in answer.headers:
        skew = (now - parsedate_to_datetime(answer.headers["date"])).total_seconds()
        if abs(skew) > _SKEW:
            yield warn(
                "clock",
                f"this machine's is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the "
                "server's: promotions lock by time, webhooks and S3 refuse old signatures",
                "timedatectl set-ntp true, on both",
            )
        else:
            yield ok("clock", "agrees with the server's")


def _versions(theirs: Version, ours: Version) -> Finding:
    says = f"the server has {theirs}, this client {ours}"
    if theirs.release[:2] < ours.release[:2]:
        return warn("MLflow", f"{says}: an older server may lack what a client asks for",
                    f"pip install 'mlflow=={ours}', on the server")  # fmt: skip
    return ok("MLflow", says)


def _database(check: str, uri: str) -> Iterator[Finding]:
    if (file := _file(uri)) is not None:
        if not file.exists():
            yield warn(
                check,
                f"{file} is not there yet: this directory has no registry",
                "export MLFLOW_TRACKING_URI=URL, or cloche train RECIPE, which makes one here",
            )
            return
        if (problem := _sqlite(check, file)) is not None:
            yield problem
            if problem.state is State.FAIL:
                return
    yield _schema(check, uri)


def _sqlite(check: str, file: Path) -> Finding | None:
    """What keeps a database in a file from being written."""
    try:
        with closing(sqlite3.connect(file, timeout=1, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            return _locked(check, file)
        if "readonly" in str(error) or "unable to open" in str(error):
            return warn(
                check, f"{file} may be read and not written: nothing can be trained or promoted",
                f"chmod u+w {shlex.quote(str(file))} {shlex.quote(str(file.absolute().parent))}",
            )  # fmt: skip
        return fail(check, f"{file}: {error}", "export MLFLOW_TRACKING_URI=URL")
    if (kind := _file_system(file)) in _NETWORK:
        return warn(
            check,
            f"{file} is on {kind}, whose locks SQLite cannot trust: several writers break it",
            "mlflow server on one machine, and its URL in MLFLOW_TRACKING_URI everywhere",
        )
    return None


def _locked(check: str, file: Path) -> Finding:
    says = f"{file} is locked by another program"
    if (holder := has_open({str(file.resolve())})) is None:
        return fail(check, says, "wait until the program ends that writes into it")
    pid, command = holder
    return fail(check, f"{says}: {command} (pid {pid}) has it open", f"wait for it, or kill {pid}")


def _file_system(file: Path) -> str:
    """What the file lies on, by the longest mount point above it."""
    best, kind = "", ""
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    for line in mounts:
        _, point, found, *_ = line.split()
        if file.absolute().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, found
    return kind


def _schema(check: str, uri: str) -> Finding:
    """Whether the database can be reached, and has the tables of this MLflow."""
    from mlflow.store.db import utils  # noqa: PLC0415  # slow, and only for databases
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        engine = utils.create_sqlalchemy_engine(uri)
        connect(uri)
        try:
            found = utils._get_schema_version(engine)
        finally:
            engine.dispose()
        wanted = utils._get_latest_schema_revision()
    except ImportError as error:
        return fail(check, f"{uri} needs {error.name}", drivers.installed_by(error))
    except MlflowException as error:
        return fail(check, told(error))
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        return fail(check, f"{uri}: {reason}", "export MLFLOW_TRACKING_URI=URL")
    if found is None:
        return warn(
            check, f"{uri} is empty: it holds no registry yet", "cloche train RECIPE makes one"
        )
    if found != wanted:
        return fail(
            check,
            f"{uri} has the tables of another MLflow (revision {found}; {mlflow.__version__} has "
            f"{wanted})",
            'back it up, then: mlflow db upgrade "$MLFLOW_TRACKING_URI"; or, where the tables '
            "are the newer ones: pip install --upgrade mlflow",
        )
    return ok(check, f"{uri} answers; its tables are those of MLflow {mlflow.__version__}")


def webhook(secret: str) -> Iterator[Finding]:
    """Whether the registry pushes to us, where a secret says that it should."""
    if not secret:
        return
    try:
        hooks = [one.url for one in MlflowClient().list_webhooks()]
    except MlflowException as error:
        yield warn("webhook", f"the registry's webhooks cannot be listed: {told(error)}")
        return
    ours = [url for url in hooks if url.endswith("/webhooks/registry")]
    if ours:
        yield ok("webhook", f"the registry pushes to {', '.join(ours)}")
    else:
        yield warn(
            "webhook",
            "CLOCHE_WEBHOOK_SECRET is set, and no webhook of the registry ends in "
            "/webhooks/registry: the server only polls",
            "MlflowClient().create_webhook(…), as README.md shows",
        )
