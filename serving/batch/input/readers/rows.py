"""The rows of a part: typed inputs for the model, what is carried along, and what was refused."""

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
    """What was read of a part.

    Attributes:
        inputs: (n rows) the model's columns.
        carried: (n rows) the columns that go into the output as they are.
        offsets: (n) where in the part each of these rows stood.
        count: Rows of the part, refused ones among them.
        originals: Gives rows by their offsets as they were in the input, for the quarantine.
        refused: Offset → why the row cannot be read.
    """

    inputs: pd.DataFrame
    carried: pa.Table
    offsets: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    count: int
    originals: Originals
    refused: dict[int, str] = field(default_factory=dict)


def attach(frame: pd.DataFrame, constants: dict[str, str]) -> None:
    """Add the columns that the name of a directory gives, where the rows do not have them."""
    for name, value in constants.items():
        if name not in frame.columns:
            frame[name] = pd.Series(value, index=frame.index, dtype="str")
