"""A request that was read: its table, and how its answer is written."""

from collections.abc import Callable
from typing import NamedTuple

from cloche.serving.host.parsing.column_decoder import Table
from cloche.serving.host.predictors.prediction_writer import Predicted
from cloche.serving.processes.frames import Answer

# The answer made of the predictions from one row up to another.
Write = Callable[[Predicted, int, int], Answer]


class ParsedRequest(NamedTuple):
    """What the ways to predictions are asked.

    Attributes:
        table: The rows.
        write: Makes their predictions an answer in the form of the door that they came by.
    """

    table: Table
    write: Write
