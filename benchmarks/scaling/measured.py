"""The measurements on two cores from which all estimates are computed.

A request has one row of twelve columns; for the method see benchmarks/results.md and README.md.
"""

from dataclasses import dataclass
from typing import Final

LOOKUP_SECONDS: Final = 0.0072
"""CPU seconds of an MLflow server (one worker, SQLite) for one alias lookup: benchmarks.lookups."""

COLD_START_SECONDS: Final = 3.3
"""Seconds from the command to the first prediction."""


@dataclass(frozen=True, slots=True)
class Path:
    """The costs of one kind of prediction, in a pod with a core each for front and model host.

    Attributes:
        name: The name of the kind.
        rate: The requests/s at 64 connections, with the client on the same two cores.
        front: The seconds of the front's core for one request.
        batch: The seconds of the host's core for a batch of any size.
        row: The additional seconds of the host's core for each row of the batch.
    """

    name: str
    rate: float
    front: float
    batch: float
    row: float


TWIN: Final = Path("twin", 20_156, front=32e-6, batch=100e-6, row=26e-6)
# A batch of one request takes 4.0 ms of the host, and one of 32 takes 5.3 ms (5,990 requests/s).
PLAIN: Final = Path("plain", 5_990, front=32e-6, batch=4.0e-3, row=42e-6)
