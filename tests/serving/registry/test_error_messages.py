"""What MLflow's errors become: who was refused, where nobody answers, and what to set."""

import base64
import json
import re
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException

from cloche.serving.registry.error_messages import explain
from tests import broken_servers
from tests.stores import stores

REFUSED = "API request to endpoint /x failed with error code {} != 200. Response body: '{}'"
AWAY = "API request to http://x/y failed with exception HTTPConnectionPool(host='x', port=9): {}"


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:something@mlflow.internal")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ana")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MlflowException(REFUSED.format(401, "You are not authenticated.")), "refuses 'ana'"),
        (RestException({"error_code": "UNAUTHENTICATED", "message": "no"}), "refuses 'ana'"),
        (MlflowException(REFUSED.format(403, "Permission denied")), "does not allow this"),
        (RestException({"error_code": "PERMISSION_DENIED", "message": "no"}), "Ask whoever"),
        (MlflowException(REFUSED.format(403, "Invalid Host header - x")), "--allowed-hosts"),
        (
            MlflowException(AWAY.format("[Errno 111] Connection refused'))")),
            "does not answer (Connection refused)",
        ),
        (MlflowException(AWAY.format("Read timed out. (read timeout=10)")), "(timed out)"),
        (MlflowException("The run is over"), "The run is over"),
        (MlflowException("database is locked\n[SQL: SELECT something]"), "another program writes"),
    ],
)
def test_an_error_names_its_fix_and_no_password(error, says):
    assert says in explain(error)
    assert "something" not in explain(error)


def test_who_gave_no_name_is_asked_for_one(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    assert "asks who is there" in explain(MlflowException(REFUSED.format(401, "")))


def asking_who_is_there(handler: Any, _: bytes) -> None:
    """A server with accounts: it knows one by its name and password, and one by a token."""
    password = base64.b64encode(b"ana:right").decode()
    if handler.headers.get("authorization") in (f"Basic {password}", "Bearer right"):
        handler.reply(200, json.dumps({"registered_models": []}).encode(), "application/json")
    else:
        handler.reply(401, b"You are not authenticated.")


@pytest.mark.parametrize("way", ["password", "token"])
@pytest.mark.parametrize("wrong", [{}, {"MLFLOW_TRACKING_PASSWORD": "wrong"}])
def test_the_variables_that_are_asked_for_let_in(way, wrong, monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    if wrong:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ana")
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with broken_servers.answering(asking_who_is_there) as url, stores(url):
        with pytest.raises(MlflowException) as refusal:
            MlflowClient().search_registered_models()
        pattern = r"Set (\w+) and (\w+), or (unset both and set )?(\w+)\.$"
        user, password, unset, token = re.search(pattern, explain(refusal.value)).groups()
        if way == "password":
            monkeypatch.setenv(user, "ana")
            monkeypatch.setenv(password, "right")
        else:
            if unset:
                monkeypatch.delenv(user)
                monkeypatch.delenv(password)
            monkeypatch.setenv(token, "right")
        assert MlflowClient().search_registered_models() == []


@pytest.mark.breadth  # imports MLflow's server
def test_a_server_that_is_started_with_its_names_knows_them():
    from mlflow.server.security_utils import is_allowed_host_header

    said = explain(MlflowException(REFUSED.format(403, "Invalid Host header - x")))
    allowed = re.search(r"mlflow server --allowed-hosts '(.*)'$", said)[1]
    names = allowed.replace("HOST", "models.example.com").split(",")
    for host in ("models.example.com", "models.example.com:5000"):
        assert is_allowed_host_header(names, host)
    assert not is_allowed_host_header(names, "elsewhere.example.com")
