"""MLflow's scoring protocol, and the data for the page's form, in the same format."""

import json
from dataclasses import replace

from cloche.serving.protocols.json_schema import request_schema, specs
from cloche.serving.protocols.protocol import JsonObject, ModelPath, Protocol, metadata, predictions
from cloche.serving.web.asgi import HttpError, error_body

_ERROR_SCHEMA: JsonObject = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {
        "error_code": {"type": "string"},
        "message": {"type": "string"},
        "columns": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The columns that the message is about; absent where there are none.",
        },
        "row": {
            "type": "integer",
            "description": "The position of the row that it is about, from 0; absent likewise.",
        },
        "expected": {
            "type": "string",
            "description": "The plain type of that column in the signature; absent likewise.",
        },
    },
}


def _error(error: HttpError) -> bytes:
    return error_body(error.code, str(error))


def _predictions(name: str, description: JsonObject, failures: JsonObject) -> JsonObject:
    signature = description.get("signature") or {}
    hinted = bool(description.get("type_hints"))
    content: JsonObject = {"schema": request_schema(signature, hinted=hinted)}
    if description.get("example"):
        content["example"] = json.loads(description["example"])
    wrapped = {"type": "object", "required": ["predictions"], "properties": {"predictions": {}}}
    answer = wrapped if signature.get("inputs") else {}  # without inputs, answers may be unwrapped
    in_text = failures["415"]["content"] | {"text/plain": {}}
    return predictions(
        name,
        {
            "application/json": content,
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string"}},
        },
        failures | {"415": failures["415"] | {"content": in_text}},
        {"application/json": {"schema": answer}},
        operationId=f"predict-{name}",
    )


def form(_: str, version: str, description: JsonObject) -> JsonObject:
    """The data for a form with one row: the signature, an example, and usual values."""
    signature = description.get("signature") or {}
    sides = {side: specs(signature, side) for side in ("inputs", "params", "outputs")}
    example = description.get("example")
    data = {
        "version": version,
        **sides,
        "example": json.loads(example) if example else None,
        "usual": description.get("usual", {}),
    }
    # JSON in browsers has no NaN, which an example or a default may hold
    plain: JsonObject = json.loads(json.dumps(data), parse_constant=lambda _: None)
    return plain


MLFLOW = Protocol(
    name="mlflow",
    error=_error,
    error_schema=("Error", _ERROR_SCHEMA),
    bases=("/models/{name}", "/models/{name}/versions/{version}"),
    model_paths=(ModelPath("/invocations", _predictions),),
    takes_any_type=False,
)
FORM = replace(
    MLFLOW,
    error_schema=None,
    model_paths=(ModelPath("/form", metadata("What a form for one row is made of."), form),),
)
