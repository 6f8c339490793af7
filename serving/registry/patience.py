"""How long MLflow's client asks a server that does not answer, before it gives up."""

from collections.abc import MutableMapping

_SOON = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def fail_soon(environment: MutableMapping[str, str]) -> None:
    """Have it fail at once, instead of retrying for minutes inside one question.

    For those who ask again themselves, or want to know.
    """
    for name, value in _SOON.items():
        environment.setdefault(name, value)
