"""The same rows for every protocol, by kind of model."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Arrays = dict[str, npt.NDArray[Any]]


def words(*texts: str) -> npt.NDArray[Any]:
    return np.array(texts, dtype=object)


NUMBERS = {"a": np.array([0.5, 2.0]), "b": np.array([1.0, 3.0])}
CODED = NUMBERS | {"c": words("x", "z")}
MANY = {"a": np.linspace(-3, 3, 40), "b": np.linspace(0, 1, 40)}
COLUMNS: dict[str, list[Arrays]] = {
    "array": [NUMBERS, MANY], "series": [NUMBERS, MANY], "frame": [NUMBERS, MANY],
    "records": [NUMBERS], "named_outputs": [NUMBERS], "nan": [NUMBERS], "failing": [NUMBERS],
    "wrong_count": [NUMBERS], "params": [NUMBERS], "regression_predict": [NUMBERS, MANY],
    "labels_predict": [CODED], "labels_predict_proba": [CODED], "names_predict": [CODED],
    "text_predict": [{"text": words("good day", "", "é\n")}],
    "optional": [
        {"a": np.array([1.5, np.nan]), "b": np.array([2.0, 0.1]), "f": words("x", "y")},
        {"a": np.array([1.5, 2.5])},
    ],
    "integers": [{"a": np.array([1, 2**60]), "b": np.array([3, -4])}, {"a": np.array([1])}],
    "scalars": [
        {
            "a": np.array([1.5, np.inf]), "b": np.array([0.1, 3], np.float32),
            "c": np.array([2**60, -1]), "d": np.array([7, -8], np.int32),
            "e": np.array([True, False]), "f": words("x", "é\n"),
        }
    ],
    "datetime": [{"when": words("2026-01-02T03:04:05", "2026-02-03T00:00:00")}],
    "array_column": [{"a": np.array([[1.5, 2.0], [3.0, 4.0]])}],
    "embedding_predict": [{"a": np.array([[1.5, 2.0], [0.0, 1.0]])}],
    "map_column": [{"a": words('{"k": 1}', "{}")}],
    "object_column": [{"a": words('{"x": 1}', '{"x": 2, "y": "z"}')}],
    "nested": [{"a": words('[{"x": 1, "tags": ["u"]}]', "[]")}],
}  # fmt: skip
# The signature names no columns, or tensors: what the protocols call `inputs`.
TENSORS: dict[str, list[Arrays]] = {
    "tensor": [{"any": np.array([[1.5, 2], [3, 4]])}],
    "arrays_predict": [{"any": np.array([[1.5, 2], [3, 4]])}],
    "unnamed": [{"any": np.array([[1.5, 2], [3, 4]])}],
    "bare_predict": [{"any": np.array([[1.5, 2], [3, 4]])}],
    "no_signature": [{"any": np.array([[1.5, 2], [3, 4]])}],
    "named_tensors": [{"x": np.array([[1, 2], [3, 4]], np.float32), "y": np.array([3, 4])}],
}
QUESTIONS = [
    pytest.param(kind, asked, id=f"{kind}-{at}-{title}")
    for kinds in (COLUMNS, TENSORS)
    for kind, several in kinds.items()
    for at, arrays in enumerate(several)
    for title, asked in (
        ("all", arrays),
        ("first", {name: array[:1] for name, array in arrays.items()}),
    )
]


def invocation(kind: str, arrays: Arrays) -> dict[str, Any]:
    """The question as MLflow's scoring protocol has it."""
    if kind in TENSORS:
        lists = {name: array.tolist() for name, array in arrays.items()}
        return {"inputs": lists if kind == "named_tensors" else lists["any"]}
    columns = [
        [json.loads(cell) for cell in array] if kind in JSON_IN_TEXT else array.tolist()
        for array in arrays.values()
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return {"dataframe_split": {"columns": list(arrays), "data": rows}}


JSON_IN_TEXT = ("map_column", "object_column", "nested")
