"""`mlflow models serve`, as people start it."""

from benchmarks.place import Place, Question
from benchmarks.row import Row


def command(place: Place) -> list[str]:
    """How it is started."""
    return [
        *(str(place.python), "-m", "mlflow", "models", "serve", "--model-uri", place.uri),
        *("--port", str(place.port), "--env-manager", "local"),
    ]


def ready() -> str:
    """Where it answers 200 when it can predict."""
    return "/ping"


def question(row: Row) -> Question:
    """How it is asked for the prediction of one row."""
    return Question("/invocations", row.split())
