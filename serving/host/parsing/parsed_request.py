"""A parsed request: its table, and the function that writes its answer."""

from collections.abc import Callable
from typing import NamedTuple

from cloche.serving.host.parsing.column_decoder import Table
from cloche.serving.host.predictors.prediction_writer import Predicted
from cloche.serving.processes.frames import Answer

# Writes the answer from the predictions of the rows from `start` up to `end`.
Write = Callable[[Predicted, int, int], Answer]


class ParsedRequest(NamedTuple):
    """A parsed request for the batch predictors."""

    table: Table
    write: Write
