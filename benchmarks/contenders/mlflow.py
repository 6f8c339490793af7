"""`mlflow models serve`, as people start it."""

import sys


def command(uri: str, port: int) -> list[str]:
    """How it is started."""
    return [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", uri),
        *("--port", str(port), "--env-manager", "local"),
    ]


def ready() -> str:
    """Where it answers 200 when it can predict."""
    return "/ping"


def predict() -> str:
    """Where it predicts."""
    return "/invocations"
