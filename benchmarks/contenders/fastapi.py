"""The server that people write by hand: FastAPI, pydantic, pandas and the model in one process."""

import sys

from benchmarks.contenders import by_hand


def command(uri: str, port: int) -> list[str]:
    """How it is started."""
    return [sys.executable, "-m", by_hand.__name__, uri, str(port)]


def ready() -> str:
    """Where it answers 200 when it can predict."""
    return "/ready"


def predict() -> str:
    """Where it predicts."""
    return "/invocations"
