"""The parts of the Open Inference Protocol that its HTTP and gRPC forms share."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from mlflow.models import Model
from mlflow.types import Schema

from cloche.serving.host.answers.error_answers import RequestRefused, UnsupportedMediaType
from cloche.serving.host.answers.mistake import Mistake
from cloche.serving.host.codecs.open_inference.model_inputs import as_payload, model_input
from cloche.serving.host.codecs.open_inference.output_tensors import OutputTensor, make_output
from cloche.serving.host.codecs.open_inference.request import OpenInferenceRequest
from cloche.serving.host.codecs.open_inference.tensor_columns import TensorDecoder
from cloche.serving.host.diagnosis.diagnosis import GENERAL, Diagnosis
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.parsing.column_decoder import ColumnDecoder, Table, has_type_hints
from cloche.serving.host.parsing.parsed_request import ParsedRequest, Write
from cloche.serving.host.predictors.prediction_writer import BARE, ModelPredictions, Predicted
from cloche.serving.processes.frames import Answer, Item

_DEFAULT_OUTPUT = "predict"
# Request parameters that clients, like those of Triton and KServe, send for the server itself.
_RESERVED = frozenset(
    {"binary_data_output", "content_type", "headers", "priority", "timeout"}
    | {"sequence_id", "sequence_start", "sequence_end"}
)
_RESERVED_PREFIX = "triton_"


class SplitRequest(NamedTuple):
    """A request in two parts: the bytes of its tensors, and everything else.

    Attributes:
        key: The request without the bytes of its tensors.
        size: The size of the key in bytes.
        data: The bytes of the tensors, one after the other.
    """

    key: Hashable
    size: int
    data: bytes


class OpenInferenceCodec:
    """The codec for HTTP and gRPC; `split`, `parse` and `write` read and write the bytes of one."""

    def __init__(
        self,
        metadata: Model,
        decoder: ColumnDecoder | None,
        diagnosis: Diagnosis,
        *,
        split: Callable[[Item], SplitRequest | None],
        parse: Callable[[Item], OpenInferenceRequest],
        write: Callable[[OpenInferenceRequest, Sequence[OutputTensor], int], Answer],
        values: Callable[[bytes, int], Any],
        error_answer: Callable[[RequestRefused | UnsupportedMediaType], Answer],
    ) -> None:
        self._schema: Schema | None = metadata.get_input_schema()
        self._diagnosis = diagnosis
        self._hinted = has_type_hints(metadata)
        self._tensor_decoder = TensorDecoder(decoder) if decoder is not None else None
        known = metadata.get_params_schema()
        self._reserved = _RESERVED - {param.name for param in (known.params if known else ())}
        self._bare = _bare_name(metadata.get_output_schema())
        self._templates = (
            self._tensor_decoder.templates() if self._tensor_decoder is not None else None
        )
        self._split = split
        self._parse = parse
        self._write = write
        self.values = values
        self.error_answer = error_answer

    def read(self, item: Item) -> ParsedRequest | None:
        """Parse the request in `item`; None unless the column decoder reads it."""
        if self._tensor_decoder is None or self._templates is None:
            return None
        split = self._split(item)
        if split is not None and (known := self._templates.recall(split.key, split.data)):
            return self._joinable_request(*known)
        try:
            request = self._parse(item)
            table = self._tensor_decoder.table(request.tensors, self._params(request))
        except RequestRefused:  # reported when the request is scored alone
            return None
        if table is None:
            return None
        if split is not None:
            self._templates.learn(split.key, split.size, request, table)
        return self._joinable_request(request, table)

    def _joinable_request(self, request: OpenInferenceRequest, table: Table) -> ParsedRequest:
        return ParsedRequest(table, lambda *part: self._answer(request, *part))

    def score_alone(self, item: Item, model: InstrumentedModel) -> Answer:
        """Score one request, with MLflow's enforcement of the signature, and return its answer."""
        request = self._predict(item, model)
        return self._answer(request, ModelPredictions(model.raw, model.rows), 0, model.rows)

    def predict_alone(self, item: Item, model: InstrumentedModel) -> None:
        """Predict for one request, with MLflow's enforcement, without writing an answer."""
        self._predict(item, model)

    def writer(self, item: Item) -> tuple[Write, dict[str, Any] | None]:
        """Return what writes the answer, and the parameters in the body."""
        request = self._parse(item)
        return lambda *part: self._answer(request, *part), self._params(request)

    def _predict(self, item: Item, model: InstrumentedModel) -> OpenInferenceRequest:
        request = self._parse(item)
        data = model_input(request.tensors, self._schema, hinted=self._hinted)
        model.predict(data, self._params(request))
        return request

    def explain(self, item: Item) -> Mistake:
        """Explain why MLflow's enforcement refused inputs that the codec has accepted."""
        request = self._parse(item)
        payload = as_payload(request.tensors, self._schema, hinted=self._hinted)
        if payload is not None:
            return self._diagnosis.payload_mistake(
                payload | {"params": self._params(request)}, word="Input"
            )
        return self._diagnosis.params_mistake(self._params(request) or {}) or Mistake(GENERAL)

    def _params(self, request: OpenInferenceRequest) -> dict[str, Any] | None:
        params = {
            name: value
            for name, value in request.parameters.items()
            if name not in self._reserved and not name.startswith(_RESERVED_PREFIX)
        }
        return params or None

    def _answer(
        self, request: OpenInferenceRequest, predicted: Predicted, start: int, end: int
    ) -> Answer:
        columns = predicted.columns(start, end)
        if BARE in columns:
            columns = {self._bare: columns[BARE]}
        for name in request.outputs:
            if name not in columns:
                raise RequestRefused(
                    f"The model has no output {name!r}; it has {', '.join(map(repr, columns))}."
                )
        names = request.outputs or columns
        return self._write(
            request, [make_output(name, columns[name]) for name in names], end - start
        )


def _bare_name(schema: Schema | None) -> str:
    """Return the name in answers of an output that has none of its own."""
    if schema is not None and schema.has_input_names() and len(schema.inputs) == 1:
        return str(schema.input_names()[0])
    return _DEFAULT_OUTPUT
