"""The interface of protocols."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cloche.serving.queue import row_estimate
from cloche.serving.web.asgi import HttpError

JsonObject = dict[str, Any]
# From the name and version of a model, and the description of it by its host.
Describe = Callable[[str, str, JsonObject], JsonObject]
# From the name and description of a model, and the OpenAPI responses for failures by status.
Operation = Callable[[str, JsonObject, JsonObject], JsonObject]

_METADATA_FAILURES = ("401", "403", "404", "503")


class ModelPath(NamedTuple):
    """A path of each model.

    Attributes:
        end: The end of the path, after each of the protocol's `bases`.
        operation: Builds the path's OpenAPI operation.
        describe: Builds the metadata that the path answers; None for the path of predictions.
    """

    end: str
    operation: Operation
    describe: Describe | None = None


class ServerPath(NamedTuple):
    """A path of the whole server, which answers JSON.

    Attributes:
        path: The path.
        summary: The path's summary in the OpenAPI document.
        answer: Builds the answer from whether all models are ready, and from their names.
        is_probe: Whether the path needs no API key.
        is_readiness: Whether the status is 503 until all models are ready.
    """

    path: str
    summary: str
    answer: Callable[[bool, Sequence[str]], JsonObject]
    is_probe: bool = False
    is_readiness: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Protocol:
    """What the front knows about a protocol: paths, documents, errors. All use HTTP's status codes.

    Attributes:
        name: The name by which a model host finds the codec.
        title: The name in documents; empty if they do not list it beside MLflow's.
        error: Builds the body that reports an error over HTTP.
        error_schema: The name and the JSON Schema of that body in the OpenAPI document, if any.
        bases: The beginnings of a model's paths; the first one has neither version nor label.
        model_paths: The paths of each model.
        server_paths: The paths of the whole server.
        methods: The HTTP methods of predictions.
        rows: Estimates the number of rows in a body, from its content type and the body.
        unknown_verb: The message for a model's name that ends in a colon and an unknown verb.
        takes_any_type: Whether the codec reads bodies without looking at their content type.
        has_binary_data: Whether binary data may follow the JSON of a body over HTTP.
    """

    name: str
    title: str = ""
    error: Callable[[HttpError], bytes]
    error_schema: tuple[str, JsonObject] | None = None
    bases: tuple[str, ...] = ()
    model_paths: tuple[ModelPath, ...] = ()
    server_paths: tuple[ServerPath, ...] = ()
    methods: tuple[bytes, ...] = (b"POST",)
    rows: Callable[[str, bytes], int] = row_estimate.rows
    unknown_verb: str = ""
    takes_any_type: bool = True
    has_binary_data: bool = False


def predictions(
    subject: str, request: JsonObject, failures: JsonObject, answer: JsonObject | None = None,
    **more: str,
) -> JsonObject:  # fmt: skip
    """The OpenAPI operation of predictions.

    Args:
        subject: The model's name, and the protocol.
        request: The request body by media type.
        failures: The responses for failures by status.
        answer: The body of the predictions by media type; None for any JSON.
        more: Further members of the operation.
    """
    answer = answer or {"application/json": {}}
    success = {"description": "The predictions.", "content": answer}
    return {
        "summary": f"Predictions of {subject}",
        **more,
        "requestBody": {"required": True, "content": request},
        "responses": {"200": success, **failures},
    }


def metadata(summary: str) -> Operation:
    """The OpenAPI operation of a path that answers metadata in JSON."""
    content = {"application/json": {"schema": {"type": "object"}}}

    def operation(_name: str, _description: JsonObject, failures: JsonObject) -> JsonObject:
        listed = {code: failures[code] for code in _METADATA_FAILURES if code in failures}
        success = {"description": summary, "content": content}
        return {"summary": summary, "responses": {"200": success, **listed}}

    return operation
