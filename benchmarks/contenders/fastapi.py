"""A server as people write it by hand: FastAPI, pydantic, pandas and the model in one process."""

from benchmarks.contenders import fastapi_server
from benchmarks.place import Place, Question
from benchmarks.row import Row


def command(place: Place) -> list[str]:
    """Return the command line that starts the server."""
    return [str(place.python), "-m", fastapi_server.__name__, place.uri, str(place.port)]


def ready() -> str:
    """Return the path that answers 200 when the server can predict."""
    return "/ready"


def question(row: Row) -> Question:
    """Build the request for the prediction of one row."""
    return Question("/invocations", row.split())
