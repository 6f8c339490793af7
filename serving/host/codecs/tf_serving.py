"""The codec of TensorFlow Serving's REST API, which KServe calls V1.

MLflow's protocol has the two layouts of this API. It lacks the signature_name (ignored here, as a
model has one signature), binary values as `{"b64": …}`, answers by column to requests by column,
and answers in which a single output has no name.
"""

import base64
import binascii
import json
from typing import Any

from mlflow.pyfunc.scoring_server import invocations
from mlflow.types import Schema

from cloche.serving.host.answers.error_answers import RequestRefused, UnsupportedMediaType
from cloche.serving.host.answers.mistake import Mistake, describe_kind
from cloche.serving.host.codecs.mlflow import json_error
from cloche.serving.host.codecs.tf_serving_layouts import LayoutConverter
from cloche.serving.host.diagnosis.diagnosis import Diagnosis
from cloche.serving.host.diagnosis.invalid_json import explain_invalid_json
from cloche.serving.host.diagnosis.layouts import keys_of
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.parsing.column_decoder import ColumnDecoder
from cloche.serving.host.parsing.content_types import JSON
from cloche.serving.host.parsing.json_body import read_json
from cloche.serving.host.parsing.missing_values import MissingValueGuard
from cloche.serving.host.parsing.parsed_request import ParsedRequest, Write
from cloche.serving.host.predictors.prediction_writer import BARE, ModelPredictions, Predicted
from cloche.serving.processes.frames import JSON_BODY, Answer, Item

_LAYOUTS = ("instances", "inputs")
_DEEP = 64
_PLAIN = frozenset({"params", "parameters", "signature_name", *_LAYOUTS})


class TfServingCodec:
    """The codec of TensorFlow Serving's REST API."""

    def __init__(
        self,
        decoder: ColumnDecoder | None,
        schema: Schema | None,
        guard: MissingValueGuard,
        diagnosis: Diagnosis,
        *,
        hinted: bool = False,
    ) -> None:
        self._decoder = decoder
        self._guard = guard
        self._diagnosis = diagnosis
        self._layout = LayoutConverter(schema, hinted=hinted)

    def read(self, item: Item) -> ParsedRequest | None:
        """Parse the request in `item`; None unless the column decoder reads it."""
        if self._decoder is None:
            return None
        try:
            payload, write = self._payload(item)
        except RequestRefused:  # reported when the request is scored alone
            return None
        table = self._decoder.read(payload)
        return None if table is None else ParsedRequest(table, write)

    def score_alone(self, item: Item, model: InstrumentedModel) -> Answer:
        """Score one request by MLflow's own scoring function, and return its answer."""
        write = self._predict(item, model)
        return write(ModelPredictions(model.raw, model.rows), 0, model.rows)

    def predict_alone(self, item: Item, model: InstrumentedModel) -> None:
        """Predict for one request by MLflow's own scoring function, without writing an answer."""
        self._predict(item, model)

    def writer(self, item: Item) -> tuple[Write, dict[str, Any] | None]:
        """Return what writes the answer, and the parameters in the body."""
        payload, write = self._payload(item)
        return write, payload.get("params")

    def _predict(self, item: Item, model: InstrumentedModel) -> Write:
        payload, write = self._payload(item)
        invocations(payload, JSON, model, self._guard.prepare(payload))
        return write

    def explain(self, item: Item) -> Mistake:
        """Explain what is wrong with the request."""
        payload, _ = self._payload(item)
        return self._diagnosis.payload_mistake(payload)

    def values(self, body: bytes, _: int) -> Any:
        """Return the answer's JSON."""
        return json.loads(body)

    def error_answer(self, error: RequestRefused | UnsupportedMediaType) -> Answer:
        """Write an error in TensorFlow Serving's format."""
        return json_error(error.status, {"error": str(error)})

    def _payload(self, item: Item) -> tuple[dict[str, Any], Write]:
        """Convert the body to a layout of MLflow's, with `params`, and choose the answer's writer.

        Raises:
            RequestRefused: The body is no valid request of the protocol.
        """
        try:
            payload = read_json(item.body)
        except (ValueError, RecursionError):
            raise RequestRefused(explain_invalid_json(item.body).message) from None
        if not isinstance(payload, dict):
            raise RequestRefused(
                "The body must be an object with exactly one of instances, inputs; it is "
                f"{describe_kind(payload)}."
            )
        layouts = [name for name in _LAYOUTS if name in payload]
        if len(layouts) != 1:
            raise RequestRefused(
                f"The body must hold exactly one of instances, inputs; it holds {keys_of(payload)}."
            )
        if strange := payload.keys() - _PLAIN:
            raise RequestRefused(
                f"The body holds {min(strange)!r}; beside {layouts[0]} it may hold parameters and "
                "signature_name."
            )
        layout = layouts[0]
        content = payload[layout]
        if b'"b64"' in item.body:
            content = self._decode_base64(content, "", _DEEP)
        read = self._layout.to_mlflow_layout(layout, content)
        params = payload.get("parameters", payload.get("params"))
        write = _write_rows if layout == "instances" else _write_columns
        return (read if params is None else read | {"params": params}), write

    def _decode_base64(self, value: Any, name: str, depth: int) -> Any:
        """Replace each `{"b64": …}` in `value` by its text, or for binary columns by its base64."""
        if not depth:
            raise RequestRefused("The body is nested too deeply.")
        if isinstance(value, list):
            return [self._decode_base64(one, name, depth - 1) for one in value]
        if not isinstance(value, dict):
            return value
        if value.keys() != {"b64"}:
            return {key: self._decode_base64(one, key, depth - 1) for key, one in value.items()}
        text = value["b64"]
        try:
            plain = base64.b64decode(text, validate=True)
            return text if (name or self._layout.only) in self._layout.binary else plain.decode()
        except (binascii.Error, TypeError, ValueError):
            raise RequestRefused("A b64 value is not base64 of what the column takes.") from None


def _write_rows(predicted: Predicted, start: int, end: int) -> Answer:
    """Write the answer `{"predictions": …}`, by row."""
    text = predicted.text(start, end)
    if predicted.single:
        text = json.dumps([next(iter(row.values())) for row in json.loads(text)])
    return Answer(200, JSON_BODY, end - start, f'{{"predictions": {text}}}'.encode())


def _write_columns(predicted: Predicted, start: int, end: int) -> Answer:
    """Write the answer `{"outputs": …}`, by column."""
    columns = predicted.columns(start, end)
    if BARE in columns:
        return _outputs(
            json.loads(predicted.text(start, end)), end - start, single=predicted.single
        )
    rows = json.loads(predicted.text(start, end))
    if isinstance(rows, dict):
        return _outputs(rows, end - start)
    by_name = {name: [row[name] for row in rows] for name in columns}
    found = next(iter(by_name.values())) if len(by_name) == 1 else by_name
    return _outputs(found, end - start)


def _outputs(found: Any, rows: int, *, single: bool = False) -> Answer:
    if single:
        found = [next(iter(row.values())) for row in found]
    return Answer(200, JSON_BODY, rows, json.dumps({"outputs": found}).encode())
