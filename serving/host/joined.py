"""The two ways to answer requests that were joined: by the accelerated twin, and by the model.

Each answers the tables that it is sure of and leaves the others (None) to the next way.
"""

import json
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from mlflow.utils.proto_json_utils import NumpyEncoder, _get_jsonable_obj

from serving.host.frames import JSON_BODY, Answer
from serving.host.likeness import alike
from serving.host.observed import ObservedModel
from serving.host.plan import Plan, Table
from serving.host.twin import Prediction, Twin

_logger = logging.getLogger(__name__)
_encode = NumpyEncoder().encode


class ByTwin:
    """Answers by the accelerated twin.

    Attributes:
        seconds: Time spent in the graph since it was last set to 0.
        rows: Rows answered since it was last set to 0.
    """

    def __init__(self, twin: Twin, plan: Plan) -> None:
        self._twin = twin
        self._plan = plan
        self.seconds = 0.0
        self.rows = 0

    def agrees(self, model: "ByModel", table: Table) -> bool:
        """Whether the twin answers `table` as the model does, or leaves it to the model."""
        (own,), (other,) = self.answer([table]), model.answer([table])
        if own is None or other is None:
            return own is None
        return alike(json.loads(own.body), json.loads(other.body), tolerance=self._twin.tolerance)

    def answer(self, tables: Sequence[Table]) -> list[Answer | None]:
        """One answer for each table all of whose rows the twin is sure of."""
        if tables[0].params:  # parameters are the model's own affair
            return [None] * len(tables)
        columns = self._plan.columns([row for table in tables for row in table.rows])
        started = time.perf_counter()
        try:
            prediction = self._twin.predict(columns)
        except Exception:
            _logger.exception("The twin failed; the model answers in its place.")
            return [None] * len(tables)
        finally:
            self.seconds += time.perf_counter() - started
        rows = _as_json(prediction)
        sure = prediction.sure.tolist()
        answers: list[Answer | None] = []
        start = 0
        for table in tables:
            end = start + len(table.rows)
            if all(sure[start:end]):
                body = '{"predictions": [' + ", ".join(rows[start:end]) + "]}"
                answers.append(Answer(200, JSON_BODY, end - start, body.encode()))
                self.rows += end - start
            else:
                answers.append(None)
            start = end
        return answers


class ByModel:
    """Answers by the model itself, on the frame that MLflow's enforcement would give."""

    def __init__(self, model: ObservedModel, plan: Plan) -> None:
        self._model = model
        self._plan = plan

    def answer(self, tables: Sequence[Table]) -> list[Answer | None]:
        """One answer for each table, or None for all when they must be scored one by one."""
        try:
            rows = [row for table in tables for row in table.rows]
            frame = self._plan.frame(self._plan.columns(rows))
            raw = self._model.predict_enforced(frame, tables[0].params)
            return _split(raw, [len(table.rows) for table in tables])
        except Exception:  # noqa: BLE001  # whatever it is, it is found again, and told, one by one
            return [None] * len(tables)


def _as_json(prediction: Prediction) -> list[str]:
    """Each row of a prediction as MLflow writes it: a record, a value, or a list."""
    texts = [_texts(column) for column in prediction.columns]
    if prediction.names is None:
        return texts[0]
    template = ", ".join(json.dumps(name).replace("%", "%%") + ": %s" for name in prediction.names)
    record = "{" + template + "}"
    return [record % row for row in zip(*texts, strict=True)]


def _texts(column: Any) -> list[str]:
    values = column.tolist()
    plain = column.ndim == 1 and column.dtype.kind in "fiu"
    return list(map(repr if plain else json.dumps, values))


def _split(raw: Any, rows: Sequence[int]) -> list[Answer | None]:
    """Predictions cut into the answers of requests with so many `rows`."""
    if len(rows) == 1:
        return [_answer(_get_jsonable_obj(raw, pandas_orient="records"), rows[0])]
    if not isinstance(raw, (np.ndarray, pd.DataFrame, pd.Series, list)):
        return [None] * len(rows)
    predictions = _get_jsonable_obj(raw, pandas_orient="records")
    if len(predictions) != sum(rows):
        return [None] * len(rows)
    answers: list[Answer | None] = []
    start = 0
    for count in rows:
        answers.append(_answer(predictions[start : start + count], count))
        start += count
    return answers


def _answer(predictions: Any, rows: int) -> Answer:
    return Answer(200, JSON_BODY, rows, _encode({"predictions": predictions}).encode())
