import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, Schema

from cloche.serving.host.load import load
from cloche.serving.host.parsing.column_decoder import ColumnDecoder, Table
from cloche.serving.host.parsing.content_types import JSON
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.row_independence import Found, Score, examine_rows, made_up_example
from cloche.serving.processes.frames import Answer, Item

NUMBER, TEXT = [DataType.double], [DataType.string]
TABLE = Table(("n", ""), [[1.0], [2.0], [4.0]])
BY_COLUMN = Table(("n", ""), (), None, [np.array([1.0, 2.0, 4.0])])
ONE_ROW = Table(("n", ""), [[1.0]])


def score_of(predict: Callable[[list[Any]], Any], types: Sequence[DataType] = NUMBER) -> Score:
    def score(questions: Sequence[ParsedRequest]) -> list[Answer]:
        ((table, _),) = questions
        (cells,) = ColumnDecoder(["n"], types).join([table])
        body = json.dumps({"predictions": predict(list(cells))})
        return [Answer(200, 0, table.length, body.encode())]

    return score


def rank(cells: list[Any]) -> list[int]:
    return [sorted(map(str, cells)).index(str(cell)) for cell in cells]


def filled(cells: list[float]) -> list[float]:
    """Predictions of a model that fills gaps by the mean of the rows that are asked with them."""
    if np.isnan(cells).all():
        raise ValueError("there is no mean")
    mean = float(np.nanmean(cells))
    return [mean if np.isnan(cell) else cell for cell in cells]


def strict(cells: list[float]) -> list[float]:
    if any(cell is None or np.isnan(cell) for cell in cells):
        raise ValueError("this model takes no gaps")
    return cells


@pytest.mark.parametrize(
    ("found", "predict"),
    [
        (Found.INDEPENDENT, lambda rows: [row * 2 for row in rows]),
        (Found.INDEPENDENT, lambda rows: [{"double": row * 2, "all": [row]} for row in rows]),
        (Found.INDEPENDENT, lambda rows: [float("nan") for _ in rows]),
        (Found.INDEPENDENT, lambda rows: [row + len(rows) * 1e-12 for row in rows]),
        (Found.INDEPENDENT, strict),
        (Found.DEPENDENT, lambda rows: [row - sum(rows) / len(rows) for row in rows]),
        (
            Found.DEPENDENT,
            lambda rows: [bool(row > 1.5) if len(rows) > 1 else None for row in rows],
        ),
        (Found.DEPENDENT, lambda rows: [len(rows)]),
        (Found.DEPENDENT, lambda rows: {"rows": len(rows)}),
        (Found.DEPENDENT, lambda rows: list(range(len(rows)))),
        (Found.DEPENDENT, filled),
        (Found.DEPENDENT, rank),
    ],
)
@pytest.mark.parametrize("example", [TABLE, BY_COLUMN, ONE_ROW])
def test_a_model_passes_only_when_it_scores_rows_by_themselves(
    example: Table, found: Found, predict: Callable[..., Any]
) -> None:
    """Scenario: examples of several rows and of one, none of which has a gap."""
    assert examine_rows(score_of(predict), example, NUMBER) is found


@pytest.mark.parametrize(
    ("types", "cell", "predict", "found"),
    [
        (TEXT, "a", rank, Found.DEPENDENT),
        (TEXT, "a", lambda rows: [len(row or "") for row in rows], Found.INDEPENDENT),
        (TEXT, "a", lambda rows: [{"a": 1, "b": 2}[row] for row in rows], Found.UNTRIED),
        ([DataType.long], 3, rank, Found.DEPENDENT),
        ([DataType.integer], 0, lambda rows: [int(row) for row in rows], Found.INDEPENDENT),
        ([DataType.boolean], True, lambda rows: [bool(row) for row in rows], Found.INDEPENDENT),
        ([DataType.boolean], True, rank, Found.DEPENDENT),
    ],
)
def test_one_row_of_any_type_is_changed_to_another_one(
    types: list[DataType], cell: Any, predict: Callable[..., Any], found: Found
) -> None:
    assert examine_rows(score_of(predict, types), Table("", [[cell]]), types) is found


@pytest.mark.parametrize("rows", [[["a"]], [["a"], [None]]])
def test_a_missing_text_is_not_asked_alone(rows: list[list[Any]]) -> None:
    """Scenario: pandas gives a column of gaps another type, and such requests are not joined."""

    def predict(cells: list[Any]) -> list[str]:
        return [f"{pd.Series(cells).dtype}" for _ in cells]

    assert examine_rows(score_of(predict, TEXT), Table("", rows), TEXT) is Found.INDEPENDENT


def test_gaps_that_a_model_refuses_in_one_column_are_tried_in_the_others() -> None:
    types = [DataType.double, DataType.double]

    def score(questions: Sequence[ParsedRequest]) -> list[Answer]:
        ((table, _),) = questions
        needed, filled_up = ColumnDecoder(["needed", "filled"], types).join([table])
        strict(list(needed))
        body = json.dumps({"predictions": filled(list(filled_up))})
        return [Answer(200, 0, table.length, body.encode())]

    assert examine_rows(score, Table("", [[1.0, 2.0]]), types) is Found.DEPENDENT


def test_a_model_that_fails_or_may_not_be_tried_is_not_trusted() -> None:
    assert examine_rows(lambda questions: [None] * len(questions), TABLE, NUMBER) is Found.DEPENDENT
    assert examine_rows(score_of(strict), None, NUMBER) is Found.UNTRIED


def test_only_models_of_libraries_are_tried_on_a_row_that_nobody_sent() -> None:
    types = [DataType.double, DataType.string, DataType.boolean]

    def example(loader: str) -> Table | None:
        model = Model(flavors={"python_function": {"loader_module": loader}})
        return made_up_example(model, types)

    assert example("mlflow.pyfunc.model") is None
    assert example("mlflow.sklearn") == Table("", [[1, "a", 1]])


class Ranks(PythonModel):
    """A model that looks across rows, as those do that fill, sort, group or normalize."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[float]:
        del context, params
        return list(model_input["n"].rank())


@pytest.mark.filterwarnings("ignore")  # what MLflow says of a model without an example
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_requests_of_a_model_that_looks_across_rows_are_answered_by_themselves(
    tmp_path: Path, rows: int
) -> None:
    """Scenario: two clients ask at once; the example, if there is one, has `rows` rows."""
    example = {"input_example": pd.DataFrame({"n": [1.0, 5.0][:rows]})} if rows else {}
    signature = ModelSignature(Schema([ColSpec("double", "n")]))
    mlflow.pyfunc.save_model(
        tmp_path / "model", python_model=Ranks(), signature=signature, pip_requirements=[],
        **example,
    )  # fmt: skip
    scorer = load(tmp_path / "model").scorer
    asked = [Item(JSON, json.dumps({"inputs": {"n": cells}}).encode()) for cells in ([3], [2, 4])]
    answers = [json.loads(answer.body)["predictions"] for answer in scorer.score(asked).answers]

    assert answers == [[1.0], [1.0, 2.0]]
