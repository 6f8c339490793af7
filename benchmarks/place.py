"""The interface of a contender: its start parameters, and the requests that it accepts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

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


class Contender(Protocol):
    """The functions of each contender's module in `benchmarks/contenders`."""

    def command(self, place: Place) -> list[str]:
        """Return the command line that starts the server."""

    def ready(self) -> str:
        """Return the path that answers 200 when the server can predict."""

    def question(self, row: Row) -> Question:
        """Build the request for the prediction of one row."""
