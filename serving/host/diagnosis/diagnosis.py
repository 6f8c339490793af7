"""The order in which a refused request is checked, and the message if no mistake is found."""

import json
from typing import Any

from mlflow.models import Model
from mlflow.types import Schema

from cloche.serving.host.answers.mistake import (
    Mistake,
    describe_kind,
    describe_mismatch,
    quote_names,
)
from cloche.serving.host.diagnosis import cells, tables
from cloche.serving.host.diagnosis.contents import (
    hinted_mistake,
    named_mistake,
    tensors_mistake,
    uneven_lists,
    unnamed_mistake,
)
from cloche.serving.host.diagnosis.enforcement import refuses_element, refuses_param
from cloche.serving.host.diagnosis.invalid_json import explain_invalid_json
from cloche.serving.host.diagnosis.layouts import UNWRAPPED, Content, read_content
from cloche.serving.host.parsing.column_decoder import has_type_hints
from cloche.serving.host.parsing.content_types import CSV, PARQUET, check
from cloche.serving.processes.frames import Item
from cloche.values.json_layouts import LAYOUTS

GENERAL = "The request does not fit the model's signature; /openapi.json describes what it takes."
UNSIGNED = (
    "The request cannot be read, and the version has no signature that says what it takes. Send a "
    "list with an object by name for each row, or log the model with a signature."
)


class Diagnosis:
    """Explains what is wrong with requests that MLflow refused for one version of a model."""

    def __init__(self, metadata: Model) -> None:
        """Read the signature from the version's metadata."""
        self._schema: Schema | None = metadata.get_input_schema()
        known = metadata.get_params_schema()
        self._params = list(known.params) if known is not None else []
        self._hinted = has_type_hints(metadata)

    def item_mistake(self, item: Item) -> Mistake:
        """Find the mistake in a request of MLflow's scoring protocol."""
        media_type = check(item.content_type)
        if media_type in (CSV, PARQUET):
            look = tables.csv_mistake if media_type == CSV else tables.parquet_mistake
            return look(item.body, self._schema, hinted=self._hinted) or self._general()
        try:
            return self.payload_mistake(json.loads(item.body))
        except (ValueError, RecursionError):
            return explain_invalid_json(item.body)

    def payload_mistake(self, payload: Any, *, word: str = "Column") -> Mistake:
        """Find the mistake in a body of MLflow's layouts; `word` is the protocol's for a column."""
        if isinstance(payload, dict) and self._is_unwrapped(payload):
            return self._unwrapped_mistake(payload) or self._general()
        content = read_content(payload, ("inputs",) if self._hinted else LAYOUTS)
        if isinstance(content, Mistake):
            return content
        params = payload.get("params")
        if not isinstance(params, (dict, type(None))):
            return Mistake(f"params must be an object; it is {describe_kind(params)}.")
        return (
            self._content_mistake(content, word)
            or self.params_mistake(params or {})
            or _scalar_mistake(content)
            or self._general()
        )

    def params_mistake(self, params: dict[str, Any]) -> Mistake | None:
        """Find the first parameter that MLflow refuses."""
        for spec in self._params:
            if spec.name in params and refuses_param(params[spec.name], spec):
                found = describe_kind(params[spec.name], spec.dtype)
                kind = (
                    describe_mismatch(spec.dtype, found)
                    if spec.shape is None
                    else (f"expected a list of {spec.dtype!r}, found {found}")
                )
                return Mistake(f"Parameter {spec.name!r}: {kind}.")
        return None

    def _general(self) -> Mistake:
        return Mistake(UNSIGNED if self._schema is None else GENERAL)

    def _is_unwrapped(self, payload: dict[str, Any]) -> bool:
        """Whether MLflow passes the whole body to the model as its input."""
        if not any(name in payload for name in UNWRAPPED):
            return False
        layouts = any(name in payload for name in LAYOUTS)
        schema = self._schema
        known = schema.input_names() if schema is not None and schema.has_input_names() else []
        return not layouts and (schema is None or any(name in known for name in payload))

    def _unwrapped_mistake(self, payload: dict[str, Any]) -> Mistake | None:
        """Find the mistake in a body such as `{"messages": [...]}`."""
        schema = self._schema
        if schema is None:
            return None
        lacking = [name for name in schema.required_input_names() if name not in payload]
        if lacking:
            return Mistake(f"The request lacks {quote_names(lacking)}.", tuple(map(str, lacking)))
        for spec in schema.inputs:
            if spec.name not in payload:
                continue
            value = payload[spec.name]
            if refuses_element(value, spec.type, required=spec.required):
                place, problem = cells.locate_mistake(value, spec.type, required=spec.required)
                at = f", at {place}" if place else ""
                return Mistake(f"{str(spec.name)!r}{at}: {problem}.", (str(spec.name),))
        return self.params_mistake(payload)

    def _content_mistake(self, content: Content, word: str) -> Mistake | None:
        schema = self._schema
        if schema is None:
            return uneven_lists(content)
        if self._hinted:
            return hinted_mistake(content.value, schema)
        if schema.is_tensor_spec():
            return tensors_mistake(content, schema)
        if schema.has_input_names():
            return named_mistake(content, schema, word)
        return unnamed_mistake(content, schema)


def _scalar_mistake(content: Content) -> Mistake | None:
    if isinstance(content.value, (dict, list)):
        return None
    return Mistake(
        f"{content.layout} must be a list of rows; it is {describe_kind(content.value)}."
    )
