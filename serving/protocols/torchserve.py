"""TorchServe's inference API."""

import json

from cloche.serving.protocols.protocol import JsonObject, ModelPath, Protocol, predictions
from cloche.serving.web.asgi import HttpError

_TYPES = {
    400: "BadRequestException",
    401: "InvalidKeyException",
    404: "ModelNotFoundException",
    405: "MethodNotAllowedException",
    408: "RequestTimeoutException",
    413: "RequestEntityTooLargeException",
    415: "UnsupportedMediaTypeException",
    429: "ServiceUnavailableException",
    503: "ServiceUnavailableException",
    504: "InferenceTimeoutException",
}


def _error(error: HttpError) -> bytes:
    kind = _TYPES.get(error.status, "InternalServerException")
    return json.dumps({"code": error.status, "type": kind, "message": str(error)}).encode()


def _predictions(name: str, _: JsonObject, failures: JsonObject) -> JsonObject:
    request: JsonObject = {"application/json": {"schema": {}}}
    return predictions(f"{name}: TorchServe", request, failures)


TORCHSERVE = Protocol(
    name="torchserve",
    title="TorchServe",
    error=_error,
    error_schema=("TorchServeError", {
        "type": "object",
        "required": ["code", "type", "message"],
        "properties": {
            "code": {"type": "integer"},
            "type": {"type": "string"},
            "message": {"type": "string"},
        },
    }),
    bases=("/predictions/{name}", "/predictions/{name}/{version}"),
    model_paths=(ModelPath("", _predictions),),
    methods=(b"POST", b"PUT"),
)  # fmt: skip
