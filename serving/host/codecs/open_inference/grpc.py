"""The Open Inference Protocol over gRPC, from and to serialized messages."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from cloche.serving.host.answers.error_answers import RequestRefused, UnsupportedMediaType
from cloche.serving.host.codecs.open_inference.codec import SplitRequest
from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.host.codecs.open_inference.output_tensors import OutputTensor
from cloche.serving.host.codecs.open_inference.request import OpenInferenceRequest
from cloche.serving.host.codecs.open_inference.tensors import (
    BYTES,
    Tensor,
    read_datatype,
    read_shape,
    refuse_classes,
)
from cloche.serving.processes.frames import BINARY_BODY, TEXT_BODY, Answer, Item

_Request = message("ModelInferRequest")
_Response = message("ModelInferResponse")
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def split(item: Item) -> SplitRequest | None:
    """Split the request in two parts; None if its tensors are not raw."""
    try:
        request = _Request.FromString(item.body)
    except DecodeError:
        return None
    raw = list(request.raw_input_contents)
    if not raw:
        return None
    request.ClearField("raw_input_contents")
    rest = request.SerializeToString()
    return SplitRequest((rest, tuple(map(len, raw))), len(rest), b"".join(raw))


def parse(item: Item) -> OpenInferenceRequest:
    """Parse the request in `item`.

    Raises:
        RequestRefused: The body is no valid request.
    """
    try:
        request = _Request.FromString(item.body)
    except DecodeError:
        raise RequestRefused("The message is no ModelInferRequest.") from None
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise RequestRefused("raw_input_contents must hold one element for each of inputs.")
    tensors = {}
    for at, one in enumerate(request.inputs):
        name = one.name
        if name in tensors:
            raise RequestRefused("Two inputs have the same name.")
        shape = read_shape(name, tuple(one.shape))
        datatype = read_datatype(name, one.datatype)
        if raw:
            if one.contents.ListFields():
                raise RequestRefused(
                    f"Input {name!r}: contents must be empty where raw_input_contents is used."
                )
            tensors[name] = Tensor(name, datatype, shape, memoryview(raw[at]))
        else:
            tensors[name] = _read_contents(name, datatype, shape, one.contents)
    if not tensors:
        raise RequestRefused("inputs is empty.")
    wanted = [one.name for one in request.outputs]
    for one in request.outputs:
        refuse_classes(one.name, one.parameters)
    return OpenInferenceRequest(
        request.id, tensors, _parameters(request.parameters), wanted, bool(raw)
    )


def write(
    name: str, version: str, request: OpenInferenceRequest,
    outputs: Sequence[OutputTensor], rows: int,
) -> Answer:  # fmt: skip
    """Write the answer of a version of a model, with raw tensors if the request's were raw.

    In this protocol either all tensors of a message are raw or none, so all are raw if a tensor has
    a datatype without a typed field.
    """
    response = _Response(model_name=name, model_version=version, id=request.id)
    dense = [one.dense() for one in outputs]
    raw = request.answer_form or any(one.datatype not in _CONTENTS for one in dense)
    for one in dense:
        tensor = response.outputs.add(name=one.name, datatype=one.datatype, shape=one.shape)
        if one.missing:
            tensor.parameters["missing"].string_param = one.missing
        if raw:
            response.raw_output_contents.append(one.to_bytes())
        else:
            cells = one.values if one.datatype == BYTES else one.values.ravel().tolist()
            getattr(tensor.contents, _CONTENTS[one.datatype]).extend(cells)
    return Answer(200, BINARY_BODY, rows, response.SerializeToString())


def values(body: bytes, _: int) -> dict[str, Any]:
    """Return shape, elements and gaps of each output in an answer, by name."""
    response, found = _Response.FromString(body), {}
    raw = response.raw_output_contents
    for at, one in enumerate(response.outputs):
        shape = tuple(one.shape)
        cells = (
            Tensor(one.name, one.datatype, shape, memoryview(raw[at])).cells()
            if raw
            else getattr(one.contents, _CONTENTS[one.datatype])
        )
        found[one.name] = [list(shape), list(cells), one.parameters["missing"].string_param]
    return found


def error_answer(error: RequestRefused | UnsupportedMediaType) -> Answer:
    """Write an error: its message, and the HTTP status, which determines the gRPC code."""
    return Answer(error.status, TEXT_BODY, 0, str(error).encode())


def _read_contents(name: str, datatype: str, shape: tuple[int, ...], contents: Any) -> Tensor:
    """Read a tensor whose elements are in the typed field of its datatype."""
    field = _CONTENTS.get(datatype)
    if field is None:
        raise RequestRefused(f"Input {name!r}: {datatype} must be in raw_input_contents.")
    if others := [found.name for found, _ in contents.ListFields() if found.name != field]:
        raise RequestRefused(f"Input {name!r}: {datatype} belongs into {field}, not {others[0]}.")
    tensor = Tensor(name, datatype, shape, list(getattr(contents, field)))
    if len(tensor.data) != tensor.size:
        raise RequestRefused(
            f"Input {name!r}: shape {list(shape)} has {tensor.size} elements, and {field} "
            f"{len(tensor.data)}."
        )
    return tensor


def _parameters(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: getattr(value, kind)
        for name, value in found.items()
        if (kind := value.WhichOneof("parameter_choice"))
    }
