"""A graph of texts that takes their codes gives the same scores, or has no such form."""

from typing import Any

import numpy as np
import onnxruntime
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from cloche.registry.coded_graph import UNKNOWN, coded

node = helper.make_node
ML = "ai.onnx.ml"


def graph(*nodes: Any, texts: tuple[str, ...] = ("a", "b")) -> bytes:
    """A graph of columns of texts with one output, `out`."""
    made = helper.make_graph(
        nodes, "texts",
        [helper.make_tensor_value_info(name, TensorProto.STRING, [None, 1]) for name in texts],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.array([["x", "z"]], dtype=object), "known"),
            numpy_helper.from_array(np.array([1], np.int64), "second"),
        ],
    )  # fmt: skip
    versions = [helper.make_opsetid("", 20), helper.make_opsetid(ML, 3)]
    return bytes(helper.make_model(made, opset_imports=versions, ir_version=9).SerializeToString())


# The ways in which converters encode categories and domains compare them.
COMPARING = graph(
    node("Concat", ["a", "b"], ["both"], axis=1),
    node("ArrayFeatureExtractor", ["both", "second"], ["picked"], domain=ML),
    node("OneHotEncoder", ["picked"], ["hot"], domain=ML, cats_strings=["y", "x", ""], zeros=1),
    node("LabelEncoder", ["a"], ["number"], domain=ML, keys_strings=["x", "한국"],
         values_floats=[0.5, 2.0], default_float=-1.0),
    node("Equal", ["a", "known"], ["same"]),
    node("Cast", ["same"], ["flags"], to=TensorProto.FLOAT),
    node("Flatten", ["hot"], ["wide"], axis=1),
    node("Concat", ["wide", "number", "flags"], ["out"], axis=1),
)  # fmt: skip


def scores(content: bytes, columns: dict[str, Any]) -> Any:
    return onnxruntime.InferenceSession(content).run(["out"], columns)[0]


texts = st.sampled_from(["x", "y", "z", "", "X", "x ", "한국", "other"])


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_scores_by_codes_are_those_by_texts(rows: list[tuple[str, str]]) -> None:
    found = coded(COMPARING)
    assert found is not None
    assert found.vocabulary == {"": 0, "x": 1, "y": 2, "z": 3, "한국": 4}
    columns = dict(zip("ab", np.array(rows, dtype=object).T.reshape(2, -1, 1), strict=True))
    codes = {
        name: np.array([[found.vocabulary.get(one, UNKNOWN)] for one in column.ravel()], np.int64)
        for name, column in columns.items()
    }
    np.testing.assert_array_equal(scores(found.content, codes), scores(COMPARING, columns))


def test_a_graph_that_reads_into_texts_keeps_them() -> None:
    reading = node("RegexFullMatch", ["a"], ["plain"], pattern="[a-z]*")
    assert coded(graph(reading, node("Cast", ["plain"], ["out"], to=1), texts=("a",))) is None


def test_a_graph_whose_texts_meet_texts_of_another_source_keeps_them() -> None:
    made = node("Cast", ["second"], ["digits"], to=TensorProto.STRING)
    same = node("Equal", ["a", "digits"], ["same"])
    assert coded(graph(made, same, node("Cast", ["same"], ["out"], to=1), texts=("a",))) is None
