"""MLflow's scoring protocol."""

import json
from contextlib import suppress
from typing import Any

from mlflow.pyfunc.scoring_server import invocations
from mlflow.types import Schema

from cloche.serving.host.answers.error_answers import RequestRefused, UnsupportedMediaType
from cloche.serving.host.answers.mistake import Mistake
from cloche.serving.host.diagnosis.diagnosis import Diagnosis
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.parsing.column_decoder import ColumnDecoder
from cloche.serving.host.parsing.content_types import CSV, JSON, check
from cloche.serving.host.parsing.json_body import read_json
from cloche.serving.host.parsing.missing_values import MissingValueGuard
from cloche.serving.host.parsing.parsed_request import ParsedRequest, Write
from cloche.serving.host.predictors.prediction_writer import Predicted
from cloche.serving.processes.frames import JSON_BODY, TEXT_BODY, Answer, Item


def write_predictions(predicted: Predicted, start: int, end: int) -> Answer:
    """The answer `{"predictions": …}`."""
    body = f'{{"predictions": {predicted.text(start, end)}}}'
    return Answer(200, JSON_BODY, end - start, body.encode())


class ScoringProtocol:
    """Reads MLflow's layouts, and writes what `write` makes of the predictions."""

    def __init__(
        self, plan: ColumnDecoder | None, schema: Schema | None, guard: MissingValueGuard,
        diagnosis: Diagnosis, write: Write = write_predictions,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._schema = schema
        self._guard = guard
        self._diagnosis = diagnosis
        self._write = write

    def read(self, item: Item) -> ParsedRequest | None:
        """The question in `item`, where the plan reads it."""
        if self._plan is None or not item.content_type.startswith(JSON):
            return None
        try:
            check(item.content_type)
            table = self._plan.read(read_json(item.body))
        except (ValueError, RecursionError, UnsupportedMediaType):
            return None
        return None if table is None else ParsedRequest(table, self._write)

    def ask(self, item: Item, model: InstrumentedModel) -> Answer:
        """The answer to one request by MLflow's own scoring function."""
        response = self._invoke(item, model)
        return Answer(200, JSON_BODY, model.rows, response.encode())

    def _invoke(self, item: Item, model: InstrumentedModel) -> str:
        """What MLflow's own scoring function answers, in JSON.

        Raises:
            RequestRefused: MLflow would change a missing value.
        """
        body: Any = item.body
        schema, media_type = self._schema, check(item.content_type)
        if media_type == CSV:
            schema = self._guard.schema_for_csv()
            with suppress(UnicodeDecodeError):  # MLflow says what is wrong
                body = item.body.decode()  # releases before 2.17 take text alone
        if media_type == JSON and self._guard.needed:
            with suppress(ValueError, RecursionError):  # MLflow says what is wrong
                body = read_json(body)
            schema = self._guard.prepare(body)
            body = body if isinstance(body, dict) else item.body
        response: str = invocations(body, item.content_type, model, schema).response
        return response

    def explain(self, item: Item) -> Mistake:
        """What is wrong with the request."""
        return self._diagnosis.of_item(item)

    def refused(self, error: RequestRefused | UnsupportedMediaType) -> Answer:
        """The error in MLflow's form: plain text for a content type that is not taken."""
        if isinstance(error, UnsupportedMediaType):
            return Answer(415, TEXT_BODY, 0, str(error).encode())
        told: dict[str, object] = {"error_code": error.code, "message": str(error)}
        if error.columns:
            told["columns"] = list(error.columns)
        if error.row is not None:
            told["row"] = error.row
        if error.expected:
            told["expected"] = error.expected
        return json_error(error.status, told)


def json_error(status: int, told: dict[str, object]) -> Answer:
    """An error that is told in JSON."""
    return Answer(status, JSON_BODY, 0, json.dumps(told).encode())
