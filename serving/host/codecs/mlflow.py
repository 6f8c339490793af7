"""The codec of MLflow's scoring protocol."""

import json
from contextlib import suppress
from typing import Any

from mlflow.pyfunc.scoring_server import invocations
from mlflow.types import Schema

from cloche.serving.host.answers.error_answers import RequestRefused, UnsupportedMediaType
from cloche.serving.host.answers.mistake import Mistake
from cloche.serving.host.diagnosis.diagnosis import Diagnosis
from cloche.serving.host.instrumented_model import PLACEHOLDER, InstrumentedModel
from cloche.serving.host.parsing.column_decoder import ColumnDecoder
from cloche.serving.host.parsing.content_types import CSV, JSON, check
from cloche.serving.host.parsing.json_body import read_json
from cloche.serving.host.parsing.missing_values import MissingValueGuard
from cloche.serving.host.parsing.parsed_request import ParsedRequest, Write
from cloche.serving.host.predictors.prediction_writer import ModelPredictions, Predicted
from cloche.serving.processes.frames import JSON_BODY, TEXT_BODY, Answer, Item


def write_predictions(predicted: Predicted, start: int, end: int) -> Answer:
    """Write the answer `{"predictions": …}`."""
    body = f'{{"predictions": {predicted.text(start, end)}}}'
    return Answer(200, JSON_BODY, end - start, body.encode())


class MlflowCodec:
    """Reads MLflow's layouts, and writes predictions by the function `write`."""

    def __init__(
        self, decoder: ColumnDecoder | None, schema: Schema | None, guard: MissingValueGuard,
        diagnosis: Diagnosis, write: Write = write_predictions,
    ) -> None:  # fmt: skip
        self._decoder = decoder
        self._schema = schema
        self._guard = guard
        self._diagnosis = diagnosis
        self._write = write

    def read(self, item: Item) -> ParsedRequest | None:
        """Parse the request in `item`; None unless the column decoder reads it."""
        if self._decoder is None or not item.content_type.startswith(JSON):
            return None
        try:
            check(item.content_type)
            table = self._decoder.read(read_json(item.body))
        except (ValueError, RecursionError, UnsupportedMediaType):
            return None
        return None if table is None else ParsedRequest(table, self._write)

    def score_alone(self, item: Item, model: InstrumentedModel) -> Answer:
        """Score one request by MLflow's own scoring function, and return its answer."""
        around = self._invoke(item, model)
        text = ModelPredictions(model.raw, model.rows).text(0, model.rows)
        return Answer(200, JSON_BODY, model.rows, around.replace(PLACEHOLDER, text).encode())

    def predict_alone(self, item: Item, model: InstrumentedModel) -> None:
        """Predict for one request by MLflow's own scoring function, without writing an answer."""
        self._invoke(item, model)

    def writer(self, item: Item) -> tuple[Write, dict[str, Any] | None]:
        """Return what writes the answer, and the parameters in the body."""
        if b'"params"' not in item.body or not item.content_type.startswith(JSON):
            return self._write, None
        params = read_json(item.body).get("params")
        return self._write, params if isinstance(params, dict) else None

    def _invoke(self, item: Item, model: InstrumentedModel) -> str:
        """Call MLflow's own scoring function, and return what it wrote around the placeholder.

        Raises:
            RequestRefused: MLflow would change a missing value.
        """
        body: Any = item.body
        schema, media_type = self._schema, check(item.content_type)
        if media_type == CSV:
            schema = self._guard.schema_for_csv()
            with suppress(UnicodeDecodeError):  # MLflow reports the mistake
                body = item.body.decode()  # MLflow before 2.17 accepts only str
        if media_type == JSON and self._guard.needed:
            with suppress(ValueError, RecursionError):  # MLflow reports the mistake
                body = read_json(body)
            schema = self._guard.prepare(body)
            body = body if isinstance(body, dict) else item.body
        response: str = invocations(body, item.content_type, model, schema).response
        return response

    def explain(self, item: Item) -> Mistake:
        """Explain what is wrong with the request."""
        return self._diagnosis.item_mistake(item)

    def values(self, body: bytes, _: int) -> Any:
        """Return the answer's JSON."""
        return json.loads(body)

    def error_answer(self, error: RequestRefused | UnsupportedMediaType) -> Answer:
        """Write an error as MLflow does: plain text for an unsupported content type, else JSON."""
        if isinstance(error, UnsupportedMediaType):
            return Answer(415, TEXT_BODY, 0, str(error).encode())
        document: dict[str, object] = {"error_code": error.code, "message": str(error)}
        if error.columns:
            document["columns"] = list(error.columns)
        if error.row is not None:
            document["row"] = error.row
        if error.expected:
            document["expected"] = error.expected
        return json_error(error.status, document)


def json_error(status: int, document: dict[str, object]) -> Answer:
    """Write an error with a JSON body."""
    return Answer(status, JSON_BODY, 0, json.dumps(document).encode())
