"""LitServe with batching written by hand, in an environment of its own."""

from benchmarks.place import Place, Question
from benchmarks.row import Row

_SERVER = "benchmarks.contenders.litserve_server"  # not importable here: it needs LitServe


def command(place: Place) -> list[str]:
    """Return the command line that starts the server."""
    return [str(place.python), "-m", _SERVER, place.uri, str(place.port)]


def ready() -> str:
    """Return the path that answers 200 when the server can predict."""
    return "/health"


def question(row: Row) -> Question:
    """Build the request for the prediction of one row."""
    return Question("/predict", row.split())
