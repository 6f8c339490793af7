"""A request of the Open Inference Protocol, independent of its form (HTTP or gRPC)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cloche.serving.host.codecs.open_inference.tensors import Tensor


class OpenInferenceRequest(NamedTuple):
    """One inference request.

    Attributes:
        id: The client's id of the request; empty for none.
        outputs: The names of the requested outputs; empty for all.
        answer_form: The data that the codec's `write` needs to choose the form of the answer.
    """

    id: str
    tensors: Mapping[str, Tensor]
    parameters: Mapping[str, Any]
    outputs: Sequence[str]
    answer_form: Any
