"""A table with its source."""

from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from cloche.training.dataset.reading.digest import frame_digest


@dataclass(frozen=True)
class Table:
    """Rows in the order of their source.

    Attributes:
        frame: The rows, shape (rows, columns), indexed from 0.
        source: Origin of the rows for people, without passwords.
        times: Of logged rows, `received_at` of each, and `arrived_at` of its label; else None.
    """

    frame: pd.DataFrame
    source: str
    times: pd.DataFrame | None = field(default=None, compare=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return frame_digest(self.frame)
