import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from mlflow.types import DataType

from cloche.serving.host.parsing.column_decoder import ColumnDecoder, Table
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.row_independence import Score, is_rowwise
from cloche.serving.processes.frames import Answer

DECODER = ColumnDecoder(["n"], [DataType.double])
TABLE = Table(("n", ""), [[1.0], [2.0], [4.0]])
BY_COLUMN = Table(("n", ""), (), None, [np.array([1.0, 2.0, 4.0])])


def score_of(predict: Callable[[list[float]], Any]) -> Score:
    def score(questions: Sequence[ParsedRequest]) -> list[Answer]:
        ((table, _),) = questions
        (cells,) = DECODER.join([table])
        body = json.dumps({"predictions": predict(list(cells))})
        return [Answer(200, 0, table.length, body.encode())]

    return score


@pytest.mark.parametrize(
    ("rowwise", "predict"),
    [
        (True, lambda rows: [row * 2 for row in rows]),
        (True, lambda rows: [{"double": row * 2, "all": [row]} for row in rows]),
        (True, lambda rows: [float("nan") for _ in rows]),
        (True, lambda rows: [row + len(rows) * 1e-12 for row in rows]),
        (False, lambda rows: [row - sum(rows) / len(rows) for row in rows]),
        (False, lambda rows: [bool(row > 1.5) if len(rows) > 1 else None for row in rows]),
        (False, lambda rows: [len(rows)]),
        (False, lambda rows: {"rows": len(rows)}),
    ],
)
def test_a_model_passes_only_when_it_scores_rows_by_themselves(
    rowwise: bool, predict: Callable[..., Any]
) -> None:
    assert is_rowwise(score_of(predict), TABLE) is rowwise
    assert is_rowwise(score_of(predict), BY_COLUMN) is rowwise


def test_a_model_that_fails_is_not_trusted() -> None:
    assert not is_rowwise(lambda questions: [None] * len(questions), TABLE)
