"""The two predictors for requests that are scored in one batch: the twin and the model.

A predictor answers the requests that it is sure of, and returns None for the others, which go to
the next predictor.
"""

import itertools
import json
import logging
import time
from collections.abc import Sequence

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.codecs.mlflow import write_predictions
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.parsing.column_decoder import Column, ColumnDecoder, Table
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.predictors.closeness import isclose
from cloche.serving.host.predictors.prediction_writer import (
    ModelPredictions,
    Predicted,
    TwinPredictions,
)
from cloche.serving.host.predictors.twin import Twin
from cloche.serving.processes.frames import Answer
from cloche.values.redaction import trace

_logger = logging.getLogger(__name__)

Last = tuple[list[Column], Predicted] | None


class TwinPredictor:
    """Answers requests by the accelerated twin.

    Attributes:
        seconds: The seconds spent in the graph since this was last set to 0.
        rows: The number of rows answered since this was last set to 0.
        last: The columns and predictions of the last requests; None if there are none.
    """

    name = "twin"

    def __init__(self, twin: Twin, decoder: ColumnDecoder) -> None:
        self._twin = twin
        self._decoder = decoder
        self.seconds = 0.0
        self.rows = 0
        self.last: Last = None

    def agrees(self, model: "ModelPredictor", table: Table) -> bool:
        """Whether the twin answers `table` as the model does, or leaves it to the model.

        Raises:
            Exception: Any error of the graph or the model.
        """
        request = ParsedRequest(table, write_predictions)
        (own,), (other,) = self.answer_or_raise([request]), model.answer_or_raise([request])
        if own is None or other is None:
            return own is None
        return isclose(json.loads(own.body), json.loads(other.body), tolerance=self._twin.tolerance)

    def answer(self, requests: Sequence[ParsedRequest]) -> list[Answer | None]:
        """Answer each request if the twin is sure of all its rows; None for the others."""
        try:
            return self.answer_or_raise(requests)
        except Exception as error:  # noqa: BLE001  # the model answers after any error of the twin
            seen = trace(error)
            _logger.error("The twin failed; the model answers in its place.\n%s", seen)  # noqa: TRY400
            return [None] * len(requests)

    def answer_or_raise(self, requests: Sequence[ParsedRequest]) -> list[Answer | None]:
        """Answer as `answer` does, but without catching errors.

        Raises:
            Exception: Any error of the graph.
        """
        self.last = None
        if requests[0].table.params:  # only the model can interpret parameters
            return [None] * len(requests)
        columns = self._decoder.join([request.table for request in requests])
        started = time.perf_counter()
        try:
            prediction = self._twin.predict(columns)
        finally:
            self.seconds += time.perf_counter() - started
        predicted = TwinPredictions(prediction)
        self.last = columns, predicted
        sure = prediction.sure.tolist()
        all_sure = all(sure)
        answers: list[Answer | None] = []
        start = 0
        for request in requests:
            end = start + request.table.length
            known = all_sure or all(sure[start:end])
            answer = _write_answer(request, predicted, start, end) if known else None
            if answer is not None:
                self.rows += end - start
            answers.append(answer)
            start = end
        return answers


class ModelPredictor:
    """Answers requests by the model, with the data frame that MLflow's enforcement would create.

    Attributes:
        last: The columns and predictions of the last requests; None if there are none.
    """

    name = "model"

    def __init__(self, model: InstrumentedModel, decoder: ColumnDecoder) -> None:
        self._model = model
        self._decoder = decoder
        self.last: Last = None

    def answer(self, requests: Sequence[ParsedRequest]) -> list[Answer | None]:
        """Answer all requests; None for each of them if they must be scored one by one."""
        try:
            return self.answer_or_raise(requests)
        except Exception:  # noqa: BLE001  # the error occurs again, and is reported, one by one
            return [None] * len(requests)

    def answer_or_raise(self, requests: Sequence[ParsedRequest]) -> list[Answer | None]:
        """Answer as `answer` does, but without catching errors.

        Raises:
            Exception: Any error of MLflow or the model.
        """
        self.last = None
        tables = [request.table for request in requests]
        if tables[0].indexed:  # only MLflow gives the model the index
            return [None] * len(requests)
        counts = [table.length for table in tables]
        columns = self._decoder.join(tables)
        frame = self._decoder.frame(columns)
        raw = self._model.predict_enforced(frame, tables[0].params)
        predicted = ModelPredictions(raw, sum(counts))
        if len(counts) > 1 and not predicted.divisible:
            return [None] * len(requests)
        self.last = columns, predicted
        ends = list(itertools.accumulate(counts))
        return [
            _write_answer(request, predicted, end - count, end)
            for request, count, end in zip(requests, counts, ends, strict=True)
        ]


def _write_answer(
    request: ParsedRequest, predicted: Predicted, start: int, end: int
) -> Answer | None:
    """Write the answer; None if a requested output does not exist, which is reported later."""
    try:
        return request.write(predicted, start, end)
    except RequestRefused:
        return None
