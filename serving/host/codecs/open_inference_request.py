"""A request of the Open Inference Protocol, in whichever form it came."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cloche.serving.host.codecs.tensors import Tensor


class OpenInferenceRequest(NamedTuple):
    """One inference request.

    Attributes:
        id: The client's name for it; empty for none.
        tensors: By name, in the order in which they came.
        parameters: As sent.
        outputs: The names of the outputs that are wanted; empty for all.
        form: What the codec needs to know when it writes the answer.
    """

    id: str
    tensors: Mapping[str, Tensor]
    parameters: Mapping[str, Any]
    outputs: Sequence[str]
    form: Any
