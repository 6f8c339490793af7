"""Checks that a model scores each row independently of the others.

Only then may requests be joined in a batch without changing their answers.
"""

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any

import pyarrow as pa
from mlflow.models import Model
from mlflow.types import DataType

from cloche.serving.host.codecs.mlflow import write_predictions
from cloche.serving.host.parsing.column_decoder import Row, Table
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.predictors.closeness import isclose
from cloche.serving.processes.frames import TABLE_BODY, Answer
from cloche.values.redaction import describe_error

_logger = logging.getLogger(__name__)
Score = Callable[[Sequence[ParsedRequest]], Sequence[Answer | None]]

_FLOATS = frozenset({DataType.double, DataType.float})
_INTEGERS = frozenset({DataType.long, DataType.integer})
_TEXTS = frozenset({DataType.string})
_EVERY = _FLOATS | _INTEGERS | _TEXTS | {DataType.boolean}
_CHANGED = (_EVERY, _EVERY - _TEXTS, _FLOATS)  # a model may refuse texts and codes it never saw
_MOST_GAPS = 32  # columns that are left out one by one, if a model refuses all gaps at once
_LIBRARIES = {f"mlflow.{name}" for name in ("catboost", "lightgbm", "sklearn", "xgboost")}
_TOLERANCE = 1e-9
_UNKNOWN = (
    "Whether this model looks across rows could not be found out, so its requests are not joined: "
    "%s"
)


class Found(Enum):
    """What is known of a model's rows."""

    INDEPENDENT = "each row is scored by itself"
    DEPENDENT = "the rows of a call influence each other"
    UNTRIED = "no two different rows were answered"
    FAILED = "the model failed"


def examine_rows(score: Score, example: Table | None, types: Sequence[DataType]) -> Found:
    """Find out whether rows get the same predictions together and alone, and log why not.

    An example of one row proves nothing, and one without gaps does not show that a model fills gaps
    by the rows beside them. So rows that are made of the first one are tried beside the example:
    one with other values, and some with gaps. Rows that the model refuses are left out, since a
    batch with such a row is scored request by request.

    Args:
        score: Answers requests; it may raise whatever the model raises.
        example: (n rows) The version's input example; None if nothing may be tried.
        types: The type of each column.
    """
    try:
        found = Found.UNTRIED if example is None else _examine(score, example, types)
    except Exception as error:  # noqa: BLE001  # a model may raise anything
        _logger.warning(_UNKNOWN, f"it raised {describe_error(error)}")
        return Found.FAILED
    if found is Found.UNTRIED:
        _logger.warning(
            _UNKNOWN,
            "no two different rows could be tried. Log an example of several rows.",
        )
    elif found is Found.DEPENDENT:
        _logger.warning("This model looks across rows: its requests are not joined.")
    return found


def made_up_example(metadata: Model, types: Sequence[DataType]) -> Table | None:
    """Return a row to try for a version without an input example; None if there should be none.

    A library's model can be tried on any row. Code of a user is called with no row that nobody
    sent, since a call may have effects.
    """
    flavor = metadata.flavors.get("python_function", {})
    if flavor.get("loader_module") not in _LIBRARIES:
        return None
    return Table("", [["a" if kind in _TEXTS else 1 for kind in types]])


def _examine(score: Score, example: Table, types: Sequence[DataType]) -> Found:
    if example.length > 1 and not _same(score, example):
        return Found.DEPENDENT
    rows: list[Row] = [_cells(table) for table in example.single_rows()[:2]]
    pair = next((pair for pair in _pairs(rows[0], types) if _answers(score, pair, example)), rows)
    if len(pair) < 2:
        return Found.UNTRIED
    same = _same(score, _table(pair, example)) and all(
        _same_without(score, [*pair, gap], example) for gap in _gaps(score, pair, types, example)
    )
    return Found.INDEPENDENT if same else Found.DEPENDENT


def _pairs(first: Row, types: Sequence[DataType]) -> Iterator[list[Row]]:
    """Yield the first row with a row of other values, which differs less each time."""
    for changed in _CHANGED:
        other = [_other(cell, kind, changed) for cell, kind in zip(first, types, strict=True)]
        if other != list(first):
            yield [first, other]


def _other(cell: Any, kind: DataType, changed: frozenset[DataType]) -> Any:
    """Return another value of the same type for a cell; the cell itself for types to keep."""
    if kind not in changed:
        return cell
    if kind in _TEXTS:
        return f"{cell or ''}a"
    if kind is DataType.boolean:
        return not cell
    if kind in _INTEGERS:
        return cell - 1 if cell > 0 else cell + 1
    return cell * 1.5 + 1 if cell is not None and math.isfinite(cell) else 1.0


def _gaps(
    score: Score, rows: list[Row], types: Sequence[DataType], example: Table
) -> Iterator[Row]:
    """Yield the first row with gaps, as many as the model answers beside `rows`."""
    left = _MOST_GAPS
    for kinds in (_FLOATS, _TEXTS):
        columns = [at for at, kind in enumerate(types) if kind in kinds]
        if columns and _answers(score, [*rows, gap := _without(rows[0], columns)], example):
            yield gap
        elif len(columns) > 1:
            chosen, left = columns[:left], max(left - len(columns), 0)
            singly = (_without(rows[0], [at]) for at in chosen)
            yield from (gap for gap in singly if _answers(score, [*rows, gap], example))


def _without(row: Row, columns: Sequence[int]) -> Row:
    return [None if at in columns else cell for at, cell in enumerate(row)]


def _cells(single: Table) -> list[Any]:
    """Return the only row of a table as values of Python."""
    row = [column[0] for column in single.columns] if single.columns is not None else single.rows[0]
    return [cell.item() if hasattr(cell, "item") else cell for cell in row]


def _table(rows: Sequence[Row], example: Table) -> Table:
    return Table(example.key, rows, example.params)


def _answers(score: Score, rows: Sequence[Row], example: Table) -> bool:
    try:
        return score([ParsedRequest(_table(rows, example), write_predictions)])[0] is not None
    except Exception:  # noqa: BLE001  # a model may raise anything for rows that were made up
        return False


def _same(score: Score, table: Table) -> bool:
    """Whether the rows of `table` get the same predictions together and alone.

    Rounding differences of numerical libraries in larger batches are tolerated. A column that holds
    nothing but gaps has another type, so that rows with gaps are not asked alone.
    """
    together = _predictions(score, table)
    return together is not None and all(
        isclose([row], _predictions(score, single), tolerance=_TOLERANCE)
        for row, single in zip(together, table.single_rows(), strict=True)
        if None not in _cells(single)
    )


def _same_without(score: Score, rows: list[Row], example: Table) -> bool:
    """Whether all rows but the first get the same predictions without the first one."""
    together = _predictions(score, _table(rows, example))
    fewer = _predictions(score, _table(rows[1:], example))
    return together is not None and isclose(together[1:], fewer, tolerance=_TOLERANCE)


def _predictions(score: Score, table: Table) -> list[Any] | None:
    """Return one prediction for each row; None if the model answers otherwise."""
    (answer,) = score([ParsedRequest(table, write_predictions)])
    found = _read(answer) if answer else None
    return found if isinstance(found, list) and len(found) == table.length else None


def _read(answer: Answer) -> Any:
    """Return the predictions of an answer; those of a stage are a table."""
    if answer.body_type == TABLE_BODY:
        with pa.ipc.open_stream(answer.body) as stream:
            return stream.read_all().to_pylist()
    return json.loads(answer.body)["predictions"]
