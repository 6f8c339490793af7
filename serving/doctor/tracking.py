"""Checks of the tracking store and the registry: an MLflow server, or a database."""

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
from cloche.registry.connect_timeout import check_database, timed_call
from cloche.serving.doctor.check_result import CheckResult, State, fail, ok, warn
from cloche.serving.doctor.ports import has_open
from cloche.serving.registry.error_messages import explain

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "afs"})
_SECONDS = 10.0
_SKEW = 30.0  # seconds: half of a promotion's lease; S3 refuses a skew of 900, a webhook of 300


def stores() -> Iterator[CheckResult]:
    """Check the tracking store, and the registry if it is another store."""
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


def registry_exists() -> bool:
    """Whether the registry exists; MLflow's client would create a missing SQLite database."""
    file = _file(mlflow.get_registry_uri())
    return file is None or file.exists()


def _file(uri: str) -> Path | None:
    """Return the file of a SQLite database; None for another store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _server(check: str, uri: str) -> Iterator[CheckResult]:
    try:
        timed_call(uri, lambda: MlflowClient(uri, uri).search_registered_models(max_results=1))
    except MlflowException as error:
        yield fail(check, explain(error))
        return
    except requests.RequestException as error:
        yield fail(check, f"{uri}: {type(error).__name__}", "export MLFLOW_TRACKING_URI=URL")
        return
    yield ok(check, f"{uri} answers and lets us in")
    yield from _clock_and_version(uri)


def _clock_and_version(uri: str) -> Iterator[CheckResult]:
    """Check the server's clock and MLflow version; `/version` needs no password."""
    try:
        answer = requests.get(f"{uri.rstrip('/')}/version", timeout=_SECONDS)
    except requests.RequestException:
        return  # a proxy may let only the API through
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
                "timedatectl set-ntp true (on macOS: sudo systemsetup -setusingnetworktime on), on "
                "both",
            )
        else:
            yield ok("clock", "agrees with the server's")


def _versions(theirs: Version, ours: Version) -> CheckResult:
    says = f"the server has {theirs}, this client {ours}"
    if theirs.release[:2] < ours.release[:2]:
        return warn("MLflow", f"{says}: an older server may lack what a client asks for",
                    f"pip install 'mlflow=={ours}', on the server")  # fmt: skip
    return ok("MLflow", says)


def _database(check: str, uri: str) -> Iterator[CheckResult]:
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


def _sqlite(check: str, file: Path) -> CheckResult | None:
    """Return the problem that keeps a SQLite database from being written; None if it can be."""
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


def _locked(check: str, file: Path) -> CheckResult:
    says = f"{file} is locked by another program"
    if (holder := has_open({str(file.resolve())})) is None:
        return fail(check, says, "wait until the program ends that writes into it")
    pid, command = holder
    return fail(check, f"{says}: {command} (pid {pid}) has it open", f"wait for it, or kill {pid}")


def _file_system(file: Path) -> str:
    """Return the type of the file system of a file; empty if it is unknown."""
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


def _schema(check: str, uri: str) -> CheckResult:
    """Check that the database can be reached, and has the schema of this MLflow version."""
    from mlflow.store.db import utils  # noqa: PLC0415  # slow, and only needed here
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        engine = utils.create_sqlalchemy_engine(uri)
        check_database(uri)
        try:
            found = utils._get_schema_version(engine)
        finally:
            engine.dispose()
        wanted = utils._get_latest_schema_revision()
    except ImportError as error:
        return fail(check, f"{uri} needs {error.name}", drivers.install_command(error))
    except MlflowException as error:
        return fail(check, explain(error))
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


def webhook(secret: str) -> Iterator[CheckResult]:
    """Check that the registry has a webhook for the server, if a webhook secret is set."""
    if not secret:
        return
    try:
        hooks = [one.url for one in MlflowClient().list_webhooks()]
    except MlflowException as error:
        yield warn("webhook", f"the registry's webhooks cannot be listed: {explain(error)}")
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
