"""What a team runs beside Cloche: PostgreSQL, and an MLflow server with accounts."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import requests

from tests.online import NO_JOBS, wait_for
from tests.shell import answers, environment, free_port

ADMIN = ("admin", "the admin's password")


def postgres_programs() -> Path:
    """Where `initdb` and `postgres` are; a test that finds none is skipped, except in CI."""
    found = shutil.which("initdb") or max(
        map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=""
    )
    if not found:
        assert not os.environ.get("CI"), "CI installs PostgreSQL by .ci/install-system"
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return Path(found).resolve().parent


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URI of an empty database on a server of its own, which trusts everybody on loopback."""
    programs, port = postgres_programs(), free_port()
    # PostgreSQL refuses to run as root, and pytest's own folders are closed to others.
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="cloche-pg-") as folder:
        if user:
            shutil.chown(folder, user)
        data = f"{folder}/data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "mlflow", "-A", "trust", "-E", "UTF8",
             "--no-sync"],
            user=user, cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, "-h", "127.0.0.1", "-p", str(port),
             "-c", "fsync=off"],
            user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            uri = f"postgresql+psycopg://mlflow@127.0.0.1:{port}/postgres"
            wait_for(lambda: server.poll() is not None or _connects(port))
            yield uri
        finally:
            server.send_signal(signal.SIGINT)  # SIGTERM waits until every client has left
            server.wait(60)


def _connects(port: int) -> bool:
    try:
        psycopg.connect(host="127.0.0.1", port=port, user="mlflow", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


@dataclass
class Tracking:
    """`mlflow server` with accounts: started, stopped and started again at the same address.

    Attributes:
        folder: Where its accounts and its log are.
        database: The URI of its store.
        artifacts: The URI of its artifacts, which it hands out.
        variables: What it needs to reach them.
        default_permission: What every account may do with all that others made.
    """

    folder: Path
    database: str
    artifacts: str
    variables: Mapping[str, str] = field(default_factory=dict)
    default_permission: str = "READ"

    def __post_init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = self.folder / "basic_auth.ini"
        self._settings.write_text(
            f"[mlflow]\ndefault_permission = {self.default_permission}\n"
            f"database_uri = sqlite:///{self.folder}/accounts.db\nadmin_username = {ADMIN[0]}\n"
            # each request would cost half a second of hashing
            "auth_cache_ttl_seconds = 60\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )

    def start(self) -> None:
        variables = {
            "MLFLOW_AUTH_CONFIG_PATH": str(self._settings),
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "signs what browsers send",
        }
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
            *("--backend-store-uri", self.database),
            *("--artifacts-destination", self.artifacts),
        ]
        with (self.folder / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
                env=environment() | NO_JOBS | dict(self.variables) | variables,
            )  # fmt: skip
        wait_for(lambda: self._died() or answers(f"{self.url}/health"))

    def stop(self) -> None:
        """End it and its workers."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, 15)
            self._process.wait(60)

    def add_user(self, name: str, password: str) -> None:
        """An account that may read everything, by the default, and write what it makes itself."""
        answer = requests.post(
            f"{self.url}/api/2.0/mlflow/users/create",
            json={"username": name, "password": password}, auth=ADMIN, timeout=30,
        )  # fmt: skip
        assert answer.ok, answer.text

    def _died(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "mlflow.log").read_text()[-4000:]
        return False
