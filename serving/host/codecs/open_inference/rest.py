"""The Open Inference Protocol over HTTP, in JSON and with the extension for binary tensors."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cloche.serving.host.answers.error_answers import RequestRefused, UnsupportedMediaType
from cloche.serving.host.answers.mistake import describe_kind, quote_names
from cloche.serving.host.codecs.mlflow import json_error
from cloche.serving.host.codecs.open_inference.codec import SplitRequest
from cloche.serving.host.codecs.open_inference.output_tensors import OutputTensor
from cloche.serving.host.codecs.open_inference.request import OpenInferenceRequest
from cloche.serving.host.codecs.open_inference.tensors import (
    Tensor,
    from_json,
    read_datatype,
    read_shape,
    refuse_classes,
)
from cloche.serving.host.diagnosis.invalid_json import explain_invalid_json
from cloche.serving.host.parsing.json_body import read_json
from cloche.serving.processes.frames import BINARY_BODY, JSON_BODY, Answer, Item


class BinaryOutputs(NamedTuple):
    """The outputs that are requested as bytes.

    Attributes:
        binary: Whether outputs are bytes by default.
        named: Whether an output is bytes, for outputs that the request names.
    """

    binary: bool
    named: dict[str, bool]


def split(item: Item) -> SplitRequest | None:
    """Split the request in two parts; None if no bytes of tensors follow the JSON."""
    if not item.json_size:
        return None
    return SplitRequest(item.body[: item.json_size], item.json_size, item.body[item.json_size :])


def parse(item: Item) -> OpenInferenceRequest:
    """Parse the request in `item`.

    Raises:
        RequestRefused: The body is no valid request.
    """
    body = item.body[: item.json_size] if item.json_size else item.body
    try:
        payload = read_json(body)
    except (ValueError, RecursionError):
        raise RequestRefused(explain_invalid_json(body).message) from None
    if not isinstance(payload, dict):
        raise RequestRefused(
            f"The body must be an object with the list inputs; it is {describe_kind(payload)}."
        )
    if not isinstance(payload.get("inputs"), list):
        keys = quote_names(list(payload)) if payload else "nothing"
        raise RequestRefused(
            "The body must hold inputs, a list of objects with name, shape, datatype and data; it "
            f"holds {keys}."
        )
    rest = memoryview(item.body)[item.json_size :] if item.json_size else memoryview(b"")
    tensors = {tensor.name: tensor for tensor in _tensors(payload["inputs"], rest)}
    if len(tensors) != len(payload["inputs"]):
        raise RequestRefused("Two inputs have the same name.")
    if not tensors:
        raise RequestRefused("inputs is empty.")
    parameters = _parameters(payload, "The request")
    outputs, binary = _outputs(payload.get("outputs"))
    form = BinaryOutputs(parameters.get("binary_data_output") is True, binary)
    return OpenInferenceRequest(_id(payload), tensors, parameters, outputs, form)


def write(
    name: str, version: str, request: OpenInferenceRequest,
    outputs: Sequence[OutputTensor], rows: int,
) -> Answer:  # fmt: skip
    """Write the answer of a version of a model: JSON, followed by the outputs sent as bytes."""
    form: BinaryOutputs = request.answer_form
    head: dict[str, Any] = {"model_name": name, "model_version": version}
    if request.id:
        head["id"] = request.id
    described, tail = [], []
    for one in outputs:
        rest: dict[str, Any]
        if form.named.get(one.name, form.binary):
            one = one.dense()  # noqa: PLW2901  # dense() may change the datatype
            tail.append(one.to_bytes())
            rest = {"parameters": {"binary_data_size": len(tail[-1])}}
            if one.missing:
                rest["parameters"]["missing"] = one.missing
        else:
            rest = {"data": one.elements()}
        tensor = {"name": one.name, "shape": one.shape, "datatype": one.datatype}
        described.append(tensor | rest)
    text = json.dumps(head | {"outputs": described}).encode()
    if not tail:
        return Answer(200, JSON_BODY, rows, text)
    return Answer(200, BINARY_BODY, rows, b"".join([text, *tail]), len(text))


def values(body: bytes, json_size: int) -> dict[str, Any]:
    """Return shape, elements and gaps of each output in an answer, by name."""
    size = json_size or len(body)
    found, rest = {}, memoryview(body)[size:]
    for one in json.loads(body[:size])["outputs"]:
        cells, parameters = one.get("data"), one.get("parameters", {})
        if cells is None:
            end = parameters["binary_data_size"]
            cells = list(Tensor(one["name"], one["datatype"], one["shape"], rest[:end]).cells())
            rest = rest[end:]
        found[one["name"]] = [one["shape"], cells, parameters.get("missing")]
    return found


def error_answer(error: RequestRefused | UnsupportedMediaType) -> Answer:
    """Write an error in the protocol's format."""
    return json_error(error.status, {"error": str(error)})


def _tensors(inputs: list[Any], rest: memoryview) -> Iterator[Tensor]:
    offset = 0
    for one in inputs:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise RequestRefused("Each of inputs must be an object with name, shape and datatype.")
        name = one["name"]
        shape = read_shape(name, one.get("shape"))
        datatype = read_datatype(name, one.get("datatype"))
        size = _parameters(one, f"Input {name!r}").get("binary_data_size")
        if size is not None and "data" in one:
            raise RequestRefused(f"Input {name!r}: it has both data and binary_data_size.")
        if size is None:
            yield from_json(name, datatype, shape, one.get("data"))
            continue
        if type(size) is not int or not 0 <= size <= len(rest) - offset:
            raise RequestRefused(
                f"Input {name!r}: binary_data_size must be a number of bytes that follow the JSON; "
                "Inference-Header-Content-Length says where that ends."
            )
        yield Tensor(name, datatype, shape, rest[offset : offset + size])
        offset += size
    if offset != len(rest):
        raise RequestRefused("More bytes follow the JSON than inputs claim by binary_data_size.")


def _outputs(outputs: Any) -> tuple[list[str], dict[str, bool]]:
    names, binary = [], {}
    if not isinstance(outputs, (list, type(None))):
        raise RequestRefused("outputs must be a list of objects with a name.")
    for one in outputs or ():
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise RequestRefused("outputs must be a list of objects with a name.")
        names.append(one["name"])
        parameters = _parameters(one, f"Output {one['name']!r}")
        refuse_classes(one["name"], parameters)
        wanted = parameters.get("binary_data")
        if wanted is not None:
            binary[one["name"]] = wanted is True
    return names, binary


def _parameters(holder: dict[str, Any], whose: str) -> dict[str, Any]:
    found = holder.get("parameters")
    if not isinstance(found, (dict, type(None))):
        raise RequestRefused(f"{whose}: parameters must be an object.")
    return found or {}


def _id(payload: dict[str, Any]) -> str:
    found = payload.get("id")
    if not isinstance(found, (str, type(None))):
        raise RequestRefused(f"id must be a string; it is {describe_kind(found)}.")
    return found or ""  # null means no id, as in MLServer
