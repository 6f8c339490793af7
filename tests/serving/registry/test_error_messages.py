"""What MLflow's errors become: who was refused, where nobody answers, and what to set."""

import pytest
from mlflow.exceptions import MlflowException, RestException

from cloche.serving.registry.error_messages import explain

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
