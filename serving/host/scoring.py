"""Scores a batch of request bodies with one loaded model.

Reads, joins what may be joined, predicts, splits, encodes.

Requests that the plan reads are joined by key and predicted together; all others go one by one
through MLflow's own scoring function. Whatever fails when joined is scored again alone, so one bad
request never spoils its neighbours.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.scoring_server import invocations
from mlflow.utils.proto_json_utils import NumpyEncoder, _get_jsonable_obj

from serving.host import diagnosis, rowwise
from serving.host.failures import (
    INTERNAL_ERROR,
    RequestRefused,
    UnsupportedMediaType,
    answer_to,
)
from serving.host.frames import JSON_BODY, Answer, Item, Result
from serving.host.media import JSON, check
from serving.host.observed import ObservedModel
from serving.host.plan import Table, compile_plan

_logger = logging.getLogger(__name__)
_encode = NumpyEncoder().encode


class Scorer:
    """One loaded version, and the plan for its signature."""

    def __init__(self, model: PyFuncModel) -> None:
        self._model = ObservedModel(model)
        self._schema = model.metadata.get_input_schema()
        self._plan = compile_plan(model.metadata)

    @property
    def planned(self) -> bool:
        """Whether the signature has a fast path."""
        return self._plan is not None

    def join_only_if_exact(self, item: Item) -> None:
        """Stop joining requests if the rows of `item` are not scored alike together and alone.

        A model that looks across the rows it is given, to normalize them for instance, must get
        each request by itself, as it would from MLflow.
        """
        table = self._read(item)
        if table is not None and not rowwise.is_rowwise(self._together, table):
            _logger.warning("This model looks across rows: its requests are not joined.")
            self._plan = None

    def score(self, items: Sequence[Item]) -> Result:
        """One answer for each item, in order. Never raises for what an item holds."""
        started = time.perf_counter()
        self._model.seconds = 0.0
        answers: dict[int, Answer] = {}
        groups: defaultdict[Hashable, dict[int, Table]] = defaultdict(dict)
        for position, item in enumerate(items):
            table = self._read(item)
            if table is None:
                answers[position] = self._alone(item)
            else:
                groups[table.key][position] = table
        for tables in groups.values():
            joined = self._together(list(tables.values()))
            for index, position in enumerate(tables):
                answers[position] = joined[index] if joined else self._alone(items[position])
        ordered = [answers[position] for position in range(len(items))]
        return Result(time.perf_counter() - started, self._model.seconds, ordered)

    def _read(self, item: Item) -> Table | None:
        if self._plan is None or not item.content_type.startswith(JSON):
            return None
        try:
            check(item.content_type)
            return self._plan.read(json.loads(item.body))
        except (ValueError, RecursionError, UnsupportedMediaType):
            return None

    def _together(self, tables: Sequence[Table]) -> list[Answer] | None:
        """The answers to joined tables, or None where they must be scored one by one."""
        assert self._plan is not None  # noqa: S101  # a table can only come from the plan
        try:
            raw = self._model.predict_enforced(self._plan.frame(tables), tables[0].params)
            return _split(raw, [table.rows for table in tables])
        except Exception:  # noqa: BLE001  # whatever it is, it is found again, and told, one by one
            return None

    def _alone(self, item: Item) -> Answer:
        """The answer to one request by MLflow's own scoring function."""
        self._model.reset()
        try:
            check(item.content_type)
            response = invocations(item.body, item.content_type, self._model, self._schema)
        except UnsupportedMediaType as error:
            return answer_to(error)
        except Exception as error:  # noqa: BLE001  # a model may raise anything, and the host must answer
            return answer_to(self._refusal(item, error))
        return Answer(200, JSON_BODY, self._model.rows, response.response.encode())

    def _refusal(self, item: Item, error: Exception) -> RequestRefused:
        """What may be told about `error`: what the request lacks, or that the model failed."""
        if self._model.failed is not None:
            _logger.warning("The model failed on request %s.", item.id, exc_info=self._model.failed)
            return RequestRefused("The model failed on this request; the server's log says why.")
        reason = diagnosis.explain(item, self._schema)
        if isinstance(error, MlflowException):
            status = error.get_http_status_code()
            if status < 500 or self._model.reached:
                return RequestRefused(reason, status=status, code=error.error_code)
        if not self._model.reached:
            return RequestRefused(reason)
        _logger.error("The answer to %s cannot be written as JSON.", item.id, exc_info=error)
        return RequestRefused(
            "The model's answer cannot be written as JSON.", status=500, code=INTERNAL_ERROR
        )


def _split(raw: Any, rows: Sequence[int]) -> list[Answer] | None:
    """Predictions cut into the answers of requests with so many `rows`.

    None where they cannot be.
    """
    if len(rows) == 1:
        return [_answer(_get_jsonable_obj(raw, pandas_orient="records"), rows[0])]
    if not isinstance(raw, (np.ndarray, pd.DataFrame, pd.Series, list)):
        return None
    predictions = _get_jsonable_obj(raw, pandas_orient="records")
    if len(predictions) != sum(rows):
        return None
    answers, start = [], 0
    for count in rows:
        answers.append(_answer(predictions[start : start + count], count))
        start += count
    return answers


def _answer(predictions: Any, rows: int) -> Answer:
    return Answer(200, JSON_BODY, rows, _encode({"predictions": predictions}).encode())
