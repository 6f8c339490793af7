"""The kinds of model that are compared: `zoo.py` saves one of each."""

import pytest

# One of each sort of signature and of failure; the others differ from these in their answers alone.
FIRST = [
    "chat", "datetime", "failing", "frame", "named_tensors", "nested", "no_signature", "optional",
    "params", "tensor", "type_hints", "unnamed", "unwritable",
]  # fmt: skip
REST = [
    "array", "array_column", "arrays_predict", "bare_predict", "binary", "embedding_predict",
    "integers", "labels_predict", "labels_predict_proba", "map_column", "named_outputs",
    "names_predict", "nan", "object_column", "records", "regression_predict", "scalars", "series",
    "text_predict", "wrong_count",
]  # fmt: skip
KINDS = sorted([*FIRST, *REST])
each_kind = pytest.mark.parametrize(
    "kind", [*FIRST, *(pytest.param(kind, marks=pytest.mark.breadth) for kind in REST)]
)
