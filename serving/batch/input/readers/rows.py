"""The rows of a part: typed inputs, columns copied into the output, and refused rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

UNFIT = "the row does not fit the model's signature"
NOT_UTF8 = "the row is not UTF-8"
Originals = Callable[[Sequence[int]], list[Any]]


@dataclass(slots=True)
class Rows:
    """The rows that were read from a part.

    Attributes:
        inputs: (n rows) The model's columns.
        carried: (n rows) The columns that are copied into the output.
        offsets: (n) The row numbers within the part.
        count: The number of rows of the part, including refused ones.
        originals: Returns original rows by their offsets, for the quarantine.
        refused: Offset → reason why the row cannot be read.
    """

    inputs: pd.DataFrame
    carried: pa.Table
    offsets: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    count: int
    originals: Originals
    refused: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredColumns:
    """The rows of a part as they are stored, before they are typed as a frame.

    Attributes:
        inputs: (n rows) The model's columns, and maybe others.
        carried: (n rows) The columns that are copied into the output.
        frame: Returns the typed model's columns of some rows, as `Rows` has them; None if a row
            does not fit the signature.
    """

    inputs: pa.Table
    carried: pa.Table
    frame: Callable[[Any], pd.DataFrame | None]


def attach(frame: pd.DataFrame, constants: dict[str, str]) -> None:
    """Add columns given by directory names, unless the rows have columns of these names."""
    for name, value in constants.items():
        if name not in frame.columns:
            frame[name] = pd.Series(value, index=frame.index, dtype="str")
