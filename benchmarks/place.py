"""What a contender is given when it is started, and what it wants to be asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.row import Row


@dataclass(frozen=True, slots=True)
class Place:
    """Where one start of a contender happens.

    Attributes:
        python: The interpreter of its environment.
        uri: The registered model, for MLflow.
        port: Where it must listen, on loopback.
        directory: An empty folder for whatever it has to write.
    """

    python: Path
    uri: str
    port: int
    directory: Path


@dataclass(frozen=True, slots=True)
class Question:
    """A POST: to which path, and what; JSON, unless the headers say otherwise."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


class Contender(Protocol):
    """The functions that each module in `benchmarks/contenders` has."""

    def command(self, place: Place) -> list[str]:
        """How it is started."""

    def ready(self) -> str:
        """Where it answers 200 when it can predict."""

    def question(self, row: Row) -> Question:
        """How it is asked for the prediction of one row."""
