"""Translation of MLflow's errors into messages that name the cause and the fix."""

import os
import re

import mlflow
from mlflow.exceptions import MlflowException, RestException

from cloche.registry.permissions import explain_refusal
from cloche.values.passwords import without_password

_AWAY = re.compile(r"API request to \S+ failed with (?:timeout )?exception (.*)", re.DOTALL)
_REASON = re.compile(
    r"\[Errno -?\d+\] ([^'\")]+)|(timed out)|(certificate verify failed[^'\")]*)"
    r"|too many (\d{3} error)|(wrong version number)"
)
_STATUS = re.compile(r"API request to endpoint (\S+) failed with error code (\d{3}) ")
_STATEMENT = "\n[SQL: "  # after it, a database error has the statement and its parameters
_NO_JSON = "was not in a valid JSON format"


def explain(error: MlflowException) -> str:
    """Return a message with the cause and the fix; MLflow's own message for other errors."""
    message = str(error.message).partition(_STATEMENT)[0]
    if "Invalid Host header" in message:
        return (
            f"{_server()} does not know itself by this name. Start it with its names: mlflow "
            "server --allowed-hosts 'HOST,HOST:*'"
        )
    if away := _AWAY.search(message):
        return (
            f"{_server()} does not answer ({_reason(away[1])}). Start it, or name another in "
            "MLFLOW_TRACKING_URI."
        )
    if _is(error, 401):
        who = os.environ.get("MLFLOW_TRACKING_USERNAME")
        found = f"refuses {who!r} with this password" if who else "asks who is there"
        instead = "unset both and set " if who else ""  # a name goes before a token
        return (
            f"{_server()} {found}. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            f"{instead}MLFLOW_TRACKING_TOKEN."
        )
    forbidden = _is(error, 403) and (
        f"{_server()} does not allow this ({message}). Ask whoever administers it."
    )
    return explain_refusal(error) or forbidden or _no_api(message) or _locked(message) or message


def _locked(message: str) -> str:
    """Return the message for a locked SQLite database; empty for other errors."""
    if "database is locked" not in message:
        return ""
    return (
        f"The registry's database {without_password(str(mlflow.get_tracking_uri()))} is locked: "
        "another program writes into it. Try again when that has ended; where several programs "
        "write, export MLFLOW_TRACKING_URI=postgresql+psycopg://USER:PASSWORD@HOST/DATABASE."
    )


def _no_api(message: str) -> str:
    """Return the message for a response that is not MLflow's JSON; empty for other errors."""
    found = _STATUS.search(message)
    endpoint, status = found.groups() if found else ("", "200" if _NO_JSON in message else "")
    if not status:
        return ""
    if status == "404":
        return (
            f"{_server()} has no {endpoint}: it is older than this client (MLflow "
            f"{mlflow.__version__}), or no tracking server, or served below a prefix "
            "(--static-prefix) that the address lacks. Upgrade it (pip install "
            f"'mlflow=={mlflow.__version__}'), or name another in MLFLOW_TRACKING_URI."
        )
    return (
        f"{_server()} does not answer as MLflow does (status {status}, and no JSON): a proxy may "
        "stand before it, or something else at this address. Start it, or name another in "
        "MLFLOW_TRACKING_URI."
    )


def _is(error: MlflowException, status: int) -> bool:
    """Whether the tracking server answered with this HTTP status.

    The error code is no proof: MLflow also uses it for errors that a store raised in this process.
    """
    if f"error code {status} " in str(error.message):
        return True
    return isinstance(error, RestException) and error.get_http_status_code() == status


def _server() -> str:
    return f"The tracking server {without_password(str(mlflow.get_tracking_uri()))}"


def _reason(text: str) -> str:
    found = _REASON.search(text)
    return next(filter(None, found.groups())).strip() if found else text.partition("\n")[0]
