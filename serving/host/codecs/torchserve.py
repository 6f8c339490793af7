"""The codec of TorchServe's inference API, whose answer is the bare output of the handler.

The body is parsed as in MLflow's scoring protocol. A request without a content type, as from
`curl -T`, or with the default one of `curl -d`, is parsed as JSON.
"""

from typing import Any

from mlflow.types import Schema

from cloche.serving.host.answers.error_answers import RequestRefused, UnsupportedMediaType
from cloche.serving.host.answers.mistake import Mistake
from cloche.serving.host.codecs.mlflow import MlflowCodec, json_error
from cloche.serving.host.diagnosis.diagnosis import Diagnosis
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.parsing.column_decoder import ColumnDecoder
from cloche.serving.host.parsing.content_types import JSON
from cloche.serving.host.parsing.missing_values import MissingValueGuard
from cloche.serving.host.parsing.parsed_request import ParsedRequest, Write
from cloche.serving.host.predictors.prediction_writer import ModelPredictions, Predicted
from cloche.serving.processes.frames import JSON_BODY, Answer, Item

_UNSAID = frozenset({"", "application/x-www-form-urlencoded", "application/octet-stream"})
_TYPES = {400: "BadRequestException", 415: "UnsupportedMediaTypeException"}


class TorchServeCodec(MlflowCodec):
    """The codec of TorchServe's inference API."""

    def __init__(
        self,
        decoder: ColumnDecoder | None,
        schema: Schema | None,
        guard: MissingValueGuard,
        diagnosis: Diagnosis,
    ) -> None:
        super().__init__(decoder, schema, guard, diagnosis, _write)

    def read(self, item: Item) -> ParsedRequest | None:
        """Parse the request in `item`; None unless the column decoder reads it."""
        return super().read(_typed(item))

    def score_alone(self, item: Item, model: InstrumentedModel) -> Answer:
        """Score one request by MLflow's own scoring function, and return its answer."""
        self._invoke(_typed(item), model)
        return _write(ModelPredictions(model.raw, model.rows), 0, model.rows)

    def predict_alone(self, item: Item, model: InstrumentedModel) -> None:
        """Predict for one request by MLflow's own scoring function, without writing an answer."""
        self._invoke(_typed(item), model)

    def writer(self, item: Item) -> tuple[Write, dict[str, Any] | None]:
        """Return what writes the answer, and the parameters in the body."""
        return super().writer(_typed(item))

    def explain(self, item: Item) -> Mistake:
        """Explain what is wrong with the request."""
        return super().explain(_typed(item))

    def error_answer(self, error: RequestRefused | UnsupportedMediaType) -> Answer:
        """Write an error in TorchServe's format."""
        kind = _TYPES.get(error.status, "InternalServerException")
        document = {"code": error.status, "type": kind, "message": str(error)}
        return json_error(error.status, document)


def _typed(item: Item) -> Item:
    return item._replace(content_type=JSON) if item.content_type in _UNSAID else item


def _write(predicted: Predicted, start: int, end: int) -> Answer:
    return Answer(200, JSON_BODY, end - start, predicted.text(start, end).encode())
