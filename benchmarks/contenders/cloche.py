"""Cloche, with everything that is on by default."""

from benchmarks.place import Place, Question
from benchmarks.row import Row


def command(place: Place) -> list[str]:
    """How it is started."""
    return [str(place.python), "-m", "cloche", "serve", place.uri, "--port", str(place.port)]


def ready() -> str:
    """Where it answers 200 when it can predict."""
    return "/readyz"


def question(row: Row) -> Question:
    """How it is asked for the prediction of one row."""
    return Question("/invocations", row.split())
