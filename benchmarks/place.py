"""A contender: its start parameters, and the requests that it accepts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.row import Row


@dataclass(frozen=True, slots=True)
class Place:
    """The parameters of one start of a contender.

    Attributes:
        python: The interpreter of the contender's environment.
        uri: The MLflow URI of the registered model.
        port: The port on loopback on which the server must listen.
        directory: An empty folder for the server's files.
    """

    python: Path
    uri: str
    port: int
    directory: Path


@dataclass(frozen=True, slots=True)
class Question:
    """A POST request; its body is JSON, unless the headers give another content type."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that is compared with the others.

    Attributes:
        command: Returns the command line that starts the server.
        ready: The path that answers 200 when the server can predict.
        path: The path of predictions.
        body: Encodes one row as the body of a request; by default in MLflow's `dataframe_split`.
    """

    command: Callable[[Place], list[str]]
    ready: str
    path: str = "/invocations"
    body: Callable[[Row], bytes] = Row.split

    def question(self, row: Row) -> Question:
        """Build the request for the prediction of one row."""
        return Question(self.path, self.body(row))
