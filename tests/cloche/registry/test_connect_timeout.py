"""Commands for people, where the registry is away or something else: given up soon, and told."""

import os
import socket
import sys
from unittest.mock import Mock

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from cloche import main
from cloche.registry import connect_timeout
from cloche.serving.errors import RegistryUnreachable
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import parse
from tests import broken_servers
from tests.broken_servers import AWAY
from tests.shell import free_port
from tests.stores import stores

# What the message must have, by how the registry is away.
TOLD = {
    "refused": "does not answer (Connection refused)",
    "no name": "does not answer (Name or service not known)",
    "no TLS": "does not answer (wrong version number)",
    "no database": "does not answer (Connection refused)",
    "black hole": "does not answer (timed out)",
    "silent": "does not answer (timed out)",
    "drips": "does not answer (timed out)",
    "page": "does not answer as MLflow does",
    "proxy": "does not answer (502 error)",
    "no page": "or no tracking server",
}
COMMANDS = {
    "status": ["status"],
    "promote": ["promote", "m"],
    "rollback": ["rollback", "m"],
    "accelerate": ["accelerate", "m"],
    "train": ["train", "breast-cancer"],
    "score": ["score", "models:/m@production", "rows.csv", "scores.csv", "--no-track"],
    "doctor": ["doctor", "models:/m@production", "--port", "0"],
}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    (tmp_path / "rows.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(connect_timeout, "SECONDS", 1.5)


def said(arguments):
    """What a command says that must fail, on the terminal or by its exception."""
    done = CliRunner().invoke(main.cloche, arguments)
    if done.exception is None:  # the doctor, which finds it
        return done.output
    assert main.exit_code(done.exception) == 1, done.exception
    return main._message(done.exception)


@pytest.mark.parametrize(
    ("way", "command"),
    [
        *((way, "status") for way in AWAY),
        *(("silent", command) for command in COMMANDS if command != "status"),
        *(
            pytest.param(way, command, marks=pytest.mark.breadth)
            for way in AWAY
            for command in COMMANDS
            if way != "silent" and command != "status"
        ),
    ],
)
def test_a_registry_that_is_away_is_given_up_and_told(way, command, monkeypatch):
    with AWAY[way]() as url, stores(url):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        words = said(COMMANDS[command])
    assert TOLD[way] in words
    assert "MLFLOW_TRACKING_URI" in words
    assert "hushed" not in words


def test_two_attempts_of_the_client_end_before_the_deadline():
    variables = {}
    connect_timeout.shorten_timeouts(variables)
    attempts = 1 + int(variables["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
    assert attempts * int(variables["MLFLOW_HTTP_REQUEST_TIMEOUT"]) < 15


def test_whoever_asks_for_more_patience_has_it(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    monkeypatch.setattr(connect_timeout, "SECONDS", 0.0)
    assert connect_timeout.timed_call("http://x", lambda: "late") == "late"


def test_the_patience_of_the_first_question_is_not_that_of_the_work(monkeypatch):
    with (
        broken_servers.away() as url,
        stores(url),
        pytest.raises(Exception, match="Connection refused"),
    ):
        connect_timeout.require_stores()
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


@pytest.mark.parametrize(
    ("dialect", "module", "package"),
    [("mysql+pymysql", "pymysql", "pymysql"), ("mysql", "MySQLdb", "mysqlclient"),
     ("postgresql+psycopg", "psycopg", "'cloche[postgres]'")],
)  # fmt: skip
def test_a_driver_that_is_missing_is_named_with_what_installs_it(
    dialect, module, package, monkeypatch
):
    uri = f"{dialect}://somebody:hushed@127.0.0.1:{free_port()}/mlflow"
    monkeypatch.setitem(sys.modules, module, None)
    with stores(uri):
        failed = CliRunner().invoke(main.cloche, ["status"]).exception
        with pytest.raises(RegistryUnreachable) as refusal:
            Resolver(MlflowClient).resolve(parse("models:/m@production"))
    assert main.exit_code(failed) == 1
    for said in (main._message(failed), str(refusal.value)):
        assert said.endswith(f" needs {module}: pip install {package}")
        assert "hushed" not in said


def test_a_database_that_refuses_a_password_is_told_at_once_and_asked_with_the_right_one(
    monkeypatch,
):
    """The driver is a stand-in, which looks at the password that it is given."""

    def connect(uri: str) -> Mock:
        if "right" in uri:
            return Mock()
        raise OperationalError("SELECT 1", {}, Exception("Access denied for user 'ana'\nmore"))

    monkeypatch.setattr(
        "mlflow.store.db.utils.create_sqlalchemy_engine",
        lambda uri: Mock(connect=lambda: connect(uri)),
    )
    with socket.create_server(("127.0.0.1", 0)) as database:
        uri = f"mysql+pymysql://ana:{{}}@127.0.0.1:{database.getsockname()[1]}/mlflow"
        with pytest.raises(MlflowException) as refusal:
            connect_timeout.check_database(uri.format("wrong"))
        said = str(refusal.value)
        assert "ana:***@127.0.0.1" in said
        assert "refuses us: Access denied for user 'ana'. Correct the user, the password or" in said
        connect_timeout.check_database(uri.format("right"))
