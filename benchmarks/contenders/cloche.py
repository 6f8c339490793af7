"""Cloche with its default options."""

from benchmarks.place import Place, Question
from benchmarks.row import Row


def command(place: Place) -> list[str]:
    """Return the command line that starts the server."""
    return [str(place.python), "-m", "cloche", "serve", place.uri, "--port", str(place.port)]


def ready() -> str:
    """Return the path that answers 200 when the server can predict."""
    return "/readyz"


def question(row: Row) -> Question:
    """Build the request for the prediction of one row."""
    return Question("/invocations", row.split())
