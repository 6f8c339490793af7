"""Cloche, with everything that is on by default."""

import sys


def command(uri: str, port: int) -> list[str]:
    """How it is started."""
    return [sys.executable, "-m", "cloche", "serve", uri, "--port", str(port)]


def ready() -> str:
    """Where it answers 200 when it can predict."""
    return "/readyz"


def predict() -> str:
    """Where it predicts."""
    return "/invocations"
