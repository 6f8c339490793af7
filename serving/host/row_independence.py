"""Checks that a model scores each row independently of the others.

Only then may requests be joined in a batch without changing their answers.
"""

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any

from mlflow.models import Model
from mlflow.types import DataType

from cloche.serving.host.codecs.mlflow import write_predictions
from cloche.serving.host.parsing.column_decoder import Row, Table
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.predictors.closeness import isclose
from cloche.serving.processes.frames import Answer
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
    first, *others = (_cells(table) for table in example.single_rows()[:2])
    pair = next((pair for pair in _pairs(first, types) if _answers(score, pair, example)), None)
    if pair is None and not others:
        return Found.UNTRIED
    tried = pair or [first, *others]
    same = all(
        _same(score, _table(rows, example))
        for rows in (tried, *_with_gaps(score, tried, types, example))
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


def _with_gaps(
    score: Score, rows: list[Row], types: Sequence[DataType], example: Table
) -> Iterator[list[Row]]:
    """Yield the rows with another one that has gaps, where the model answers that."""
    alone = _MOST_GAPS
    for kinds in (_FLOATS, _TEXTS):
        columns = [at for at, kind in enumerate(types) if kind in kinds]
        if not columns:
            continue
        rest = [*rows, _gaps(rows[0], columns)]
        if _answers(score, rest, example):
            yield rest
            continue
        chosen, alone = columns[:alone], max(alone - len(columns), 0)
        for at in chosen if len(columns) > 1 else ():
            rest = [*rows, _gaps(rows[0], [at])]
            if _answers(score, rest, example):
                yield rest


def _gaps(row: Row, columns: Sequence[int]) -> Row:
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

    Rounding differences of numerical libraries in larger batches are tolerated.
    """
    (together,) = score([ParsedRequest(table, write_predictions)])
    if together is None:
        return False
    joined = json.loads(together.body)["predictions"]
    if not isinstance(joined, list) or len(joined) != table.length:
        return False
    for row, single in zip(joined, table.single_rows(), strict=True):
        try:
            (alone,) = score([ParsedRequest(single, write_predictions)])
        except Exception:  # noqa: BLE001  # a model may raise anything, here for want of other rows
            return False
        own = json.loads(alone.body)["predictions"] if alone else None
        if not (isinstance(own, list) and len(own) == 1 and isclose(row, own[0], tolerance=1e-9)):
            return False
    return True
