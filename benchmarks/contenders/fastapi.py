"""The server that people write by hand: FastAPI, pydantic, pandas and the model in one process."""

from benchmarks.contenders import fastapi_server
from benchmarks.place import Place, Question
from benchmarks.row import Row


def command(place: Place) -> list[str]:
    """How it is started."""
    return [str(place.python), "-m", fastapi_server.__name__, place.uri, str(place.port)]


def ready() -> str:
    """Where it answers 200 when it can predict."""
    return "/ready"


def question(row: Row) -> Question:
    """How it is asked for the prediction of one row."""
    return Question("/invocations", row.split())
