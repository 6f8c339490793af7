"""What was measured on two cores, and everything else here is computed from.

One row of twelve columns; benchmarks/results.md and benchmarks/README.md have the method.
"""

from dataclasses import dataclass
from typing import Final

LOOKUP_SECONDS: Final = 0.0072
"""CPU of an MLflow server (one worker, SQLite) for one look at an alias: benchmarks.lookups."""

COLD_START_SECONDS: Final = 3.3
"""From the command to the first prediction."""


@dataclass(frozen=True, slots=True)
class Path:
    """One way to a prediction, in a pod with a core for the front and one for the host.

    Attributes:
        name: Of the way.
        rate: Requests/s at 64 connections, with the client that asked on the same two cores.
        front: Seconds of the front's core for one request.
        batch: Seconds of the host's core for a batch, however small.
        row: Seconds more for each of its rows.
    """

    name: str
    rate: float
    front: float
    batch: float
    row: float


TWIN: Final = Path("twin", 20_156, front=32e-6, batch=100e-6, row=26e-6)
# One request alone takes 4.0 ms of the host, and 32 together 5.3 (5,990 requests/s).
PLAIN: Final = Path("plain", 5_990, front=32e-6, batch=4.0e-3, row=42e-6)
