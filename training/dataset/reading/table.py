"""A table with its source."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from cloche.training.dataset.reading.digest import frame_digest


@dataclass(frozen=True)
class Table:
    """Rows in the order of their source.

    Attributes:
        frame: The rows, shape (rows, columns), indexed from 0.
        source: Origin of the rows for people, without passwords.
    """

    frame: pd.DataFrame
    source: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return frame_digest(self.frame)
