"""The parts of the Open Inference Protocol that its HTTP and gRPC forms share."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from mlflow.models import Model
from mlflow.types import Schema

from cloche.serving.host.answers.error_answers import RequestRefused, UnsupportedMediaType
from cloche.serving.host.answers.mistake import Mistake
from cloche.serving.host.codecs.open_inference.columns import PlannedColumns
from cloche.serving.host.codecs.open_inference.model_inputs import as_payload, model_input
from cloche.serving.host.codecs.open_inference.request import OpenInferenceRequest
from cloche.serving.host.codecs.open_inference.tensors import Output, output
from cloche.serving.host.diagnosis.diagnosis import GENERAL, Diagnosis
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.parsing.column_decoder import ColumnDecoder, Table, has_type_hints
from cloche.serving.host.parsing.parsed_request import ParsedRequest
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
    """The codec of both forms; `split`, `parse` and `write` read and write the form's bytes."""

    def __init__(
        self,
        metadata: Model,
        decoder: ColumnDecoder | None,
        diagnosis: Diagnosis,
        *,
        split: Callable[[Item], SplitRequest | None],
        parse: Callable[[Item], OpenInferenceRequest],
        write: Callable[[OpenInferenceRequest, Sequence[Output], int], Answer],
        refused: Callable[[RequestRefused | UnsupportedMediaType], Answer],
    ) -> None:
        self._schema: Schema | None = metadata.get_input_schema()
        self._diagnosis = diagnosis
        self._hinted = has_type_hints(metadata)
        self._planned = PlannedColumns(decoder) if decoder is not None else None
        known = metadata.get_params_schema()
        self._reserved = _RESERVED - {param.name for param in (known.params if known else ())}
        self._bare = _bare_name(metadata.get_output_schema())
        self._templates = self._planned.templates() if self._planned is not None else None
        self._split = split
        self._parse = parse
        self._write = write
        self.refused = refused

    def read(self, item: Item) -> ParsedRequest | None:
        """Parse the request in `item`; None unless the column decoder reads it."""
        if self._planned is None or self._templates is None:
            return None
        split = self._split(item)
        if split is not None and (known := self._templates.recall(split.key, split.data)):
            return self._parsed(*known)
        try:
            asked = self._parse(item)
            table = self._planned.table(asked.tensors, self._params(asked))
        except RequestRefused:  # reported when the request is scored alone
            return None
        if table is None:
            return None
        if split is not None:
            self._templates.learn(split.key, split.size, asked, table)
        return self._parsed(asked, table)

    def _parsed(self, asked: OpenInferenceRequest, table: Table) -> ParsedRequest:
        return ParsedRequest(table, lambda *part: self._answer(asked, *part))

    def score_alone(self, item: Item, model: InstrumentedModel) -> Answer:
        """Score one request, with MLflow's enforcement of the signature, and return its answer."""
        asked = self._parse(item)
        given = model_input(asked.tensors, self._schema, hinted=self._hinted)
        model.predict(given, self._params(asked))
        return self._answer(asked, ModelPredictions(model.raw, model.rows), 0, model.rows)

    def explain(self, item: Item) -> Mistake:
        """Explain why MLflow's enforcement refused inputs that the codec has accepted."""
        asked = self._parse(item)
        payload = as_payload(asked.tensors, self._schema, hinted=self._hinted)
        if payload is not None:
            return self._diagnosis.of_payload(
                payload | {"params": self._params(asked)}, word="Input"
            )
        return self._diagnosis.of_params(self._params(asked) or {}) or Mistake(GENERAL)

    def _params(self, asked: OpenInferenceRequest) -> dict[str, Any] | None:
        found = {
            name: value
            for name, value in asked.parameters.items()
            if name not in self._reserved and not name.startswith(_RESERVED_PREFIX)
        }
        return found or None

    def _answer(
        self, asked: OpenInferenceRequest, predicted: Predicted, start: int, end: int
    ) -> Answer:
        columns = predicted.columns(start, end)
        if BARE in columns:
            columns = {self._bare: columns[BARE]}
        for name in asked.outputs:
            if name not in columns:
                raise RequestRefused(
                    f"The model has no output {name!r}; it has {', '.join(map(repr, columns))}."
                )
        wanted = asked.outputs or columns
        return self._write(asked, [output(name, columns[name]) for name in wanted], end - start)


def _bare_name(schema: Schema | None) -> str:
    """Return the name in answers of an output that has none of its own."""
    if schema is not None and schema.has_input_names() and len(schema.inputs) == 1:
        return str(schema.input_names()[0])
    return _DEFAULT_OUTPUT
