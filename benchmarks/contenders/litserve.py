"""LitServe with batching written by hand, in an environment of its own."""

from benchmarks.place import Place, Question
from benchmarks.row import Row

_SERVER = "benchmarks.contenders.litserve_server"  # imports what only its environment has


def command(place: Place) -> list[str]:
    """How it is started."""
    return [str(place.python), "-m", _SERVER, place.uri, str(place.port)]


def ready() -> str:
    """Where it answers 200 when it can predict."""
    return "/health"


def question(row: Row) -> Question:
    """How it is asked for the prediction of one row."""
    return Question("/predict", row.split())
