"""Outputs of every type, with and without gaps, in each form of the Open Inference Protocol."""

import json
import math
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.proto_json_utils import _get_jsonable_obj

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.codecs.open_inference import grpc, rest
from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.host.codecs.open_inference.output_tensors import make_output
from cloche.serving.host.codecs.open_inference.request import OpenInferenceRequest
from cloche.serving.host.codecs.open_inference.rest import BinaryOutputs
from cloche.serving.host.codecs.open_inference.tensors import BYTES, DTYPES, Tensor
from cloche.serving.host.predictors.prediction_writer import encode

LARGE = 2**53 + 1  # not a double
NAN, INF = math.nan, math.inf
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
JSON, BINARY = BinaryOutputs(False, {}), BinaryOutputs(True, {})


class Told(NamedTuple):
    """An output as a client reads it.

    Attributes:
        datatype: Of its tensor.
        shape: Of its tensor.
        cells: Its elements; of BYTES as text.
        missing: What the answer says of missing elements.
    """

    datatype: str
    shape: list[int]
    cells: list[Any]
    missing: str = ""


def asked(form: Any) -> OpenInferenceRequest:
    return OpenInferenceRequest("", {}, {}, [], form)


def strictly(text: bytes) -> Any:
    """JSON as everybody but Python reads it."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def by_json(values: Any) -> Told:
    answer = rest.write("m", "1", asked(JSON), [make_output("y", values)], 1)
    (tensor,) = strictly(answer.body)["outputs"]
    return Told(tensor["datatype"], tensor["shape"], tensor["data"])


def unpacked(datatype: str, shape: list[int], data: bytes) -> list[Any]:
    tensor = Tensor("y", datatype, tuple(shape), memoryview(data))
    return tensor.texts() if datatype == BYTES else list(tensor.cells())


def by_binary(values: Any) -> Told:
    answer = rest.write("m", "1", asked(BINARY), [make_output("y", values)], 1)
    (tensor,) = strictly(answer.body[: answer.json_size])["outputs"]
    data, parameters = answer.body[answer.json_size :], tensor["parameters"]
    assert parameters["binary_data_size"] == len(data)
    cells = unpacked(tensor["datatype"], tensor["shape"], data)
    return Told(tensor["datatype"], tensor["shape"], cells, parameters.get("missing", ""))


def of_grpc(values: Mapping[str, Any], *, raw: bool) -> tuple[dict[str, Told], bool]:
    """The outputs of an answer over gRPC, and whether all of it is raw."""
    outputs = [make_output(name, cells) for name, cells in values.items()]
    answer = grpc.write("m", "1", asked(raw), outputs, 1)
    response = message("ModelInferResponse").FromString(answer.body)
    contents = response.raw_output_contents
    assert len(contents) in (0, len(outputs))
    told = {}
    for at, tensor in enumerate(response.outputs):
        shape = list(tensor.shape)
        fields = tensor.contents.ListFields()
        if contents:
            assert not fields
            cells = unpacked(tensor.datatype, shape, contents[at])
        else:
            cells = [one.decode() if isinstance(one, bytes) else one for one in fields[0][1]]
        missing = tensor.parameters["missing"].string_param if tensor.parameters else ""
        told[tensor.name] = Told(tensor.datatype, shape, cells, missing)
    return told, bool(contents)


def by_grpc(values: Any) -> Told:
    return of_grpc({"y": values}, raw=False)[0]["y"]


def by_grpc_raw(values: Any) -> Told:
    return of_grpc({"y": values}, raw=True)[0]["y"]


DENSE = {"binary": by_binary, "grpc": by_grpc, "grpc-raw": by_grpc_raw}


def same(one: list[Any], other: list[Any]) -> bool:
    """Whether cells are equal, to their types; NaN equals itself."""
    return repr(one) == repr(other)


def typed(dtype: str, *cells: Any) -> pd.Series:
    return pd.Series(list(cells), dtype=dtype)


def edges(dtype: str) -> list[int]:
    limits = np.iinfo(dtype)
    return [int(limits.min), 0, int(limits.max)]


WHOLE: dict[str, tuple[Any, str, list[Any]]] = {
    **{
        f"{dtype}-{kind}": (values, dtype.upper(), edges(dtype))
        for dtype in INTEGERS
        for kind, values in {
            "array": np.array(edges(dtype), dtype),
            "big-endian": np.array(edges(dtype), np.dtype(dtype).newbyteorder(">")),
            "series": typed(dtype, *edges(dtype)),
            "nullable": typed(dtype.replace("int", "Int").replace("uI", "UI"), *edges(dtype)),
            "arrow": typed(f"{dtype}[pyarrow]", *edges(dtype)),
        }.items()
    },
    "bool-array": (np.array([True, False]), "BOOL", [True, False]),
    "bool-nullable": (typed("boolean", True, False), "BOOL", [True, False]),
    "bool-arrow": (typed("bool[pyarrow]", True, False), "BOOL", [True, False]),
    "bool-list": ([True, False], "BOOL", [True, False]),
    "float-array": (np.array([0.1, -1e300]), "FP64", [0.1, -1e300]),
    "float-nullable": (typed("Float64", 0.1), "FP64", [0.1]),
    "float-arrow": (typed("double[pyarrow]", 0.1), "FP64", [0.1]),
    "single-nullable": (typed("Float32", 0.5), "FP32", [0.5]),
    "int-list": ([LARGE, -(2**63)], "INT64", [LARGE, -(2**63)]),
    "number-list": ([LARGE, 0.5], "BYTES", [str(LARGE), "0.5"]),
    "small-number-list": ([1, 0.5], "FP64", [1.0, 0.5]),
    "longer-than-64-bits": ([2**70], "BYTES", [str(2**70)]),
    "text-array": (np.array(["a", "é"]), "BYTES", ["a", "é"]),
    "text-series": (typed("str", "a", ""), "BYTES", ["a", ""]),
    "text-nullable": (typed("string", "a"), "BYTES", ["a"]),
    "category": (typed("category", "a", "b"), "BYTES", ["a", "b"]),
    "date": ([date(2026, 1, 2)], "BYTES", ["2026-01-02"]),
    "nothing": ([], "FP64", []),
}


def test_values_without_gaps_are_the_same_in_every_form() -> None:
    for name, (values, datatype, cells) in WHOLE.items():
        expected = Told(datatype, [len(cells)], cells)
        forms = {"json": by_json, **DENSE} if cells else {"json": by_json, "binary": by_binary}
        for form, told in forms.items():
            assert same([told(values)], [expected]), (name, form)


# What the model answered; the datatype and elements in JSON; and those of the dense forms.
GAPS: dict[str, tuple[Any, tuple[str, list[Any]], tuple[str, list[Any]]]] = {
    "float": (np.array([1.5, NAN]), ("FP64", [1.5, None]), ("FP64", [1.5, NAN])),
    "single": (np.array([1.5, NAN], "f"), ("FP32", [1.5, None]), ("FP32", [1.5, NAN])),
    "half": (np.array([1.5, NAN], "e"), ("FP16", [1.5, None]), ("FP16", [1.5, NAN])),
    "infinite": (np.array([INF, -INF]), ("FP64", ["Infinity", "-Infinity"]), ("FP64", [INF, -INF])),
    "Float64": (typed("Float64", 1.5, None), ("FP64", [1.5, None]), ("FP64", [1.5, NAN])),
    "boolean": (typed("boolean", True, None), ("BOOL", [True, None]), ("FP64", [1.0, NAN])),
    "Int32": (typed("Int32", 7, None), ("INT32", [7, None]), ("FP64", [7.0, NAN])),
    "Int64": (typed("Int64", 2**53, None), ("INT64", [2**53, None]), ("FP64", [2.0**53, NAN])),
    "UInt8": (typed("UInt8", 255, None), ("UINT8", [255, None]), ("FP64", [255.0, NAN])),
    "all": (typed("Int64", None, None), ("INT64", [None, None]), ("FP64", [NAN, NAN])),
    "floats in a list": ([1.5, None, 2], ("FP64", [1.5, None, 2.0]), ("FP64", [1.5, NAN, 2.0])),
    "numpy's in a list": (
        [np.float64(1.5), NAN, None],
        ("FP64", [1.5, None, None]),
        ("FP64", [1.5, NAN, NAN]),
    ),
    "whole in a list": ([1, None], ("INT64", [1, None]), ("FP64", [1.0, NAN])),
    "truth in a list": ([True, pd.NA], ("BOOL", [True, None]), ("FP64", [1.0, NAN])),
    "objects": (pd.Series([1.5, None], dtype=object), ("FP64", [1.5, None]), ("FP64", [1.5, NAN])),
    "masked": (np.ma.array([1, 2], mask=[False, True]), ("INT64", [1, None]), ("FP64", [1.0, NAN])),
}
TEXTS: dict[str, tuple[Any, list[str | None]]] = {
    "str": (typed("str", "a", None), ["a", None]),
    "string": (typed("string", "a", None), ["a", None]),
    "string[pyarrow]": (typed("string[pyarrow]", "a", None), ["a", None]),
    "object": (pd.Series(["a", NAN], dtype=object), ["a", None]),
    "category": (typed("category", "a", None), ["a", None]),
    "list": (["a", None, NAN, pd.NA, pd.NaT], ["a", None, None, None, None]),
    "array": (np.array(["a", None], object), ["a", None]),
    "dates": (pd.Series(pd.to_datetime(["2026-01-02", None])), ["2026-01-02T00:00:00", None]),
    "large beside fractions": ([LARGE, 0.5, None], [str(LARGE), "0.5", None]),
    "text that says NaN": (["NaN", "null", None], ["NaN", "null", None]),
    "nothing else": ([None, None], [None, None]),
    "inside": ([{"a": NAN, "b": [INF]}, None], ['{"a": null, "b": ["Infinity"]}', None]),
}


def test_a_missing_number_is_null_in_json_and_nan_where_there_is_no_null() -> None:
    for name, (values, (datatype, cells), (dense_datatype, dense_cells)) in GAPS.items():
        size = [len(cells)]
        assert same([by_json(values)], [Told(datatype, size, cells)]), name
        for form, told in DENSE.items():
            assert same([told(values)], [Told(dense_datatype, size, dense_cells)]), (name, form)


def test_a_missing_text_is_null_in_json_and_named_where_there_is_no_null() -> None:
    for name, (values, cells) in TEXTS.items():
        assert by_json(values) == Told(BYTES, [len(cells)], cells), name
        missing = ",".join(str(at) for at, cell in enumerate(cells) if cell is None)
        expected = Told(BYTES, [len(cells)], [cell or "" for cell in cells], missing)
        for form, told in DENSE.items():
            assert told(values) == expected, (name, form)


@pytest.mark.parametrize("values", [typed("Int64", LARGE, None), [None, -LARGE]])
def test_a_whole_number_that_a_double_would_change_is_refused_beside_a_gap(values: Any) -> None:
    assert by_json(values).datatype == "INT64"
    for told in DENSE.values():
        with pytest.raises(RequestRefused, match="Only JSON"):
            told(values)


def test_gaps_of_several_axes_keep_their_places() -> None:
    for values in (np.array([[1.0, NAN], [NAN, 4.0]]), [[1.0, None], [None, 4]]):
        assert by_json(values) == Told("FP64", [2, 2], [1.0, None, None, 4.0])
        assert same([by_binary(values)], [Told("FP64", [2, 2], [1.0, NAN, NAN, 4.0])])


def column(dtype: str, cells: st.SearchStrategy[Any]) -> st.SearchStrategy[pd.Series]:
    lists = st.lists(cells | st.none(), min_size=1, max_size=5)
    return lists.map(lambda found: pd.Series(found, dtype=dtype))


def whole(dtype: str) -> st.SearchStrategy[int]:
    limits = np.iinfo(dtype)
    return st.integers(int(limits.min), int(limits.max)) | st.integers(0, 3)


any_column = st.one_of(
    *(
        column(nullable, whole(dtype))
        for dtype in INTEGERS
        for nullable in (dtype.replace("int", "Int").replace("uI", "UI"), f"{dtype}[pyarrow]")
    ),
    *(column(dtype, st.booleans()) for dtype in ("boolean", "bool[pyarrow]")),
    *(column(dtype, st.floats(width=32)) for dtype in ("float32", "Float32", "float[pyarrow]")),
    *(column(dtype, st.floats()) for dtype in ("float64", "Float64", "double[pyarrow]")),
    *(column(text, st.text(max_size=4)) for text in ("str", "string", "string[pyarrow]", "object")),
    *(column("object", cells) for cells in (st.booleans(), whole("int64"), st.floats())),
)


def known(cell: Any) -> Any:
    """None for what is missing; the number for what JSON has by its name."""
    if isinstance(cell, float) and math.isnan(cell):
        return None
    return {"Infinity": INF, "-Infinity": -INF}.get(cell, cell) if isinstance(cell, str) else cell


@settings(max_examples=5 * settings().max_examples)
@given(any_column)
def test_any_column_holds_what_mlflow_writes_of_it(values: pd.Series) -> None:
    records = encode(_get_jsonable_obj(pd.DataFrame({"y": values}), pandas_orient="records"))
    expected = [known(row["y"]) for row in json.loads(records)]
    assert [known(cell) for cell in by_json(values).cells] == expected
    for told in DENSE.values():
        try:
            found = told(values)
        except RequestRefused:
            assert None in expected
            assert any(type(cell) is int and abs(cell) >= LARGE for cell in expected)
            continue
        gaps = set(filter(None, found.missing.split(",")))
        cells = [None if str(at) in gaps else cell for at, cell in enumerate(found.cells)]
        assert [known(cell) for cell in cells] == expected


@pytest.mark.parametrize("without", [name for name in DTYPES if "16" in name and "INT" not in name])
def test_a_datatype_without_a_field_makes_the_whole_answer_raw(without: str) -> None:
    for beside in (*DTYPES, BYTES):
        values = np.array(["x"]) if beside == BYTES else np.ones(1, DTYPES[beside])
        answered = {"before": values, "half": np.ones(1, DTYPES[without]), "after": values}
        told, raw = of_grpc(answered, raw=False)
        assert raw
        assert told["half"] == Told(without, [1], [1.0])
        expected = Told(beside, [1], ["x" if beside == BYTES else 1])
        assert told["before"] == told["after"] == expected
        assert not of_grpc({"one": values}, raw=False)[1] or beside == without
