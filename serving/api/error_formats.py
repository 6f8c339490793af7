"""The formats of the protocols: the codec that reads a body, and the body of the front's errors.

All protocols use the status codes of HTTP; only the bodies differ.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from cloche.serving.api.routes import first_part
from cloche.serving.processes.frames import Door
from cloche.serving.web.asgi import HttpError, error_body


@dataclass(frozen=True, slots=True)
class ErrorFormat:
    """The format of one protocol.

    Attributes:
        door: The protocol, which selects the codec in the model host.
        error: Builds the body that reports an error.
    """

    door: Door
    error: Callable[[HttpError], bytes]


def of_path(path: str) -> ErrorFormat:
    """The format that a client of `path` expects, whether or not the path exists."""
    return _BY_PREFIX.get(first_part(path), MLFLOW)


def _mlflow(error: HttpError) -> bytes:
    return error_body(error.code, str(error))


def _plain(error: HttpError) -> bytes:
    return json.dumps({"error": str(error)}).encode()


def _torchserve(error: HttpError) -> bytes:
    kind = _TORCHSERVE_TYPES.get(error.status, "InternalServerException")
    told = {"code": error.status, "type": kind, "message": str(error)}
    return json.dumps(told).encode()


_TORCHSERVE_TYPES = {
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


def _words(error: HttpError) -> bytes:
    return str(error).encode()


MLFLOW = ErrorFormat(Door.MLFLOW, _mlflow)
V2 = ErrorFormat(Door.V2, _plain)
V1 = ErrorFormat(Door.V1, _plain)
TORCHSERVE = ErrorFormat(Door.TORCHSERVE, _torchserve)
GRPC = ErrorFormat(Door.GRPC, _words)
_BY_PREFIX = {"v2": V2, "v1": V1, "predictions": TORCHSERVE}
