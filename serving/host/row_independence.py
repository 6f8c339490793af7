"""Checks that a model scores each row independently of the others.

Only then may requests be joined in a batch without changing their answers.
"""

import json
from collections.abc import Callable, Sequence

from cloche.serving.host.codecs.mlflow import write_predictions
from cloche.serving.host.parsing.column_decoder import Table
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.predictors.closeness import isclose
from cloche.serving.processes.frames import Answer

Score = Callable[[Sequence[ParsedRequest]], Sequence[Answer | None]]


def is_rowwise(score: Score, table: Table) -> bool:
    """Whether the rows of `table` get the same predictions together and alone.

    Rounding differences of numerical libraries in larger batches are tolerated. A single row proves
    nothing and passes.
    """
    (together,) = score([ParsedRequest(table, write_predictions)])
    if together is None:
        return False
    joined = json.loads(together.body)["predictions"]
    if not isinstance(joined, list) or len(joined) != table.length:
        return False
    for row, single in zip(joined, table.single_rows(), strict=True):
        (alone,) = score([ParsedRequest(single, write_predictions)])
        own = json.loads(alone.body)["predictions"] if alone else None
        if not (isinstance(own, list) and len(own) == 1 and isclose(row, own[0], tolerance=1e-9)):
            return False
    return True
