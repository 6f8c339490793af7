"""The code-taking form of a twin's graph: each text becomes its number in one vocabulary.

onnxruntime takes texts one by one. A graph that only compares texts with its own constants gives
the same scores if every text, given or constant, is replaced by its position in the list of all
constants, and every other text by `UNKNOWN`, which equals none of them. Both sides derive this form
from the stored graph: the proof runs over it, and a twin that was stored without it gains it, too.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

UNKNOWN = -1
_ML = "ai.onnx.ml"
# Operators that move texts, and do not look at them.
_MOVING = {
    *(("", one) for one in ("Concat", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")),
    (_ML, "ArrayFeatureExtractor"),
}
# Operators that compare texts: each attribute with texts, and its name for integers.
_COMPARING: dict[tuple[str, str], dict[str, str]] = {
    ("", "Equal"): {},
    (_ML, "OneHotEncoder"): {"cats_strings": "cats_int64s"},
    (_ML, "LabelEncoder"): {"keys_strings": "keys_int64s"},
}
_ALIKE = {"Concat"}  # of the moving ones: all inputs are texts, and not shapes or positions


class CodedGraph(NamedTuple):
    """A graph that takes codes.

    Attributes:
        content: The graph, whose inputs of text are int64.
        vocabulary: Text → code, from 0, for every text that the graph knows.
    """

    content: bytes
    vocabulary: dict[str, int]


def coded(content: bytes) -> CodedGraph | None:
    """Derive the code-taking form of a graph.

    Returns:
        None if the graph takes no texts, reads into them, or if the package onnx is not installed.
    """
    try:
        import onnx  # noqa: PLC0415  # an extra, which an environment of a version may lack
    except ImportError:
        return None
    try:
        model = onnx.load_from_string(content)
    except Exception:  # noqa: BLE001  # protobuf's errors; onnxruntime says what is wrong with it
        return None
    graph, kind = model.graph, onnx.TensorProto
    given = [one for one in graph.input if one.type.tensor_type.elem_type == kind.STRING]
    constants = [one for one in graph.initializer if one.data_type == kind.STRING]
    comparing = _comparing(graph.node, {one.name for one in (*given, *constants)})
    if not given or comparing is None:
        return None
    attributes = [
        (one, _COMPARING[node.domain, node.op_type][one.name])
        for node in comparing
        for one in node.attribute
        if one.name in _COMPARING[node.domain, node.op_type]
    ]
    known = {text for one, _ in attributes for text in one.strings}
    known |= {text for one in constants for text in one.string_data}
    code = {text: at for at, text in enumerate(sorted(known))}
    for one in given:
        one.type.tensor_type.elem_type = kind.INT64
    for attribute, name in attributes:
        numbers = onnx.helper.make_attribute(name, [code[text] for text in attribute.strings])
        attribute.CopyFrom(numbers)
    for constant in constants:
        codes = np.array([code[text] for text in constant.string_data], np.int64)
        codes = codes.reshape(constant.dims)
        constant.CopyFrom(onnx.numpy_helper.from_array(codes, constant.name))
    del graph.value_info[:]  # the types of intermediate tensors, which onnxruntime infers
    vocabulary = {text.decode(): at for text, at in code.items()}
    return CodedGraph(model.SerializeToString(), vocabulary)


def _comparing(nodes: Iterable[Any], texts: set[str]) -> list[Any] | None:
    """Return the nodes that compare texts; None if a node does anything else but move them.

    Args:
        nodes: The nodes of a graph, each after those whose outputs it takes.
        texts: The names of the inputs and constants that are texts.
    """
    found, texts = [], set(texts)
    for node in nodes:
        if texts.isdisjoint(node.input):
            continue
        operator, names = (node.domain, node.op_type), {one.name for one in node.attribute}
        only_texts = texts.issuperset(node.input)
        if operator in _MOVING and (only_texts or node.op_type not in _ALIKE):
            texts.update(node.output)
        elif operator in _COMPARING and only_texts and names >= _COMPARING[operator].keys():
            if "values_strings" in names:  # the output would be texts
                return None
            found.append(node)
        else:
            return None
    return found
