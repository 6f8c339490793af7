"""The same rows asked in every protocol of a running server: the values are the same.

`same` is the whole table of what may differ. JSON of `/invocations`, of V1 and of TorchServe is
MLflow's, where a missing number is NaN or null, and a missing date the text NaT. V2 has null, and
infinities by name. Binary tensors and gRPC have NaN for a missing number, which makes FP64 of whole
numbers and truth values, and empty text, whose position the answer names.
"""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest

from cloche.client import Client
from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.host.codecs.open_inference.tensors import BYTES, DTYPES, Tensor
from tests.protocol.others.clients import KEY, Protocols
from tests.serving.host.test_tensors import strictly

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("protocols")]

Columns = dict[str, tuple[str, list[Any]]]  # by name: a datatype and cells
Cells = dict[str, list[Any]]
Ask = Callable[[Protocols, str, Columns, Sequence[str]], Cells | None]  # None where it is refused
_CONTENTS = {
    "BOOL": "bool_contents", "INT32": "int_contents", "INT64": "int64_contents",
    "FP32": "fp32_contents", "FP64": "fp64_contents", BYTES: "bytes_contents",
}  # fmt: skip


def rows(columns: Columns) -> list[dict[str, Any]]:
    cells = zip(*(column for _, column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in cells]


def by_column(found: list[dict[str, Any]]) -> Cells:
    return {name: [row[name] for row in found] for name in found[0]}


def invocations(
    protocols: Protocols, model: str, columns: Columns, wanted: Sequence[str]
) -> Cells | None:
    body = {"dataframe_records": rows(columns)}
    answer = protocols.ask(f"/models/{model}/invocations", body)
    return by_column(answer.json()["predictions"]) if answer.status_code == 200 else None


def v1(protocols: Protocols, model: str, columns: Columns, wanted: Sequence[str]) -> Cells | None:
    answer = protocols.ask(f"/v1/models/{model}:predict", {"instances": rows(columns)})
    return by_column(answer.json()["predictions"]) if answer.status_code == 200 else None


def torchserve(
    protocols: Protocols, model: str, columns: Columns, wanted: Sequence[str]
) -> Cells | None:
    answer = protocols.ask(f"/predictions/{model}", {"instances": rows(columns)})
    return by_column(answer.json()) if answer.status_code == 200 else None


def by_client(
    protocols: Protocols, model: str, columns: Columns, wanted: Sequence[str]
) -> Cells | None:
    frame = pd.DataFrame(rows(columns)).astype(object)
    with Client(protocols.server.url, model=model, api_key=KEY) as client:
        return by_column(client.predict(frame).values)


def packed(datatype: str, cells: list[Any]) -> bytes:
    if datatype != BYTES:
        return np.array(cells, DTYPES[datatype]).tobytes()
    texts = [cell.encode() for cell in cells]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def dense(name: str, datatype: str, shape: Any, data: Any, missing: str) -> list[Any]:
    """The cells of a tensor, with None where the answer says that one is missing."""
    tensor = Tensor(name, datatype, tuple(shape), data)
    cells: list[Any] = list(tensor.texts() if datatype == BYTES else tensor.cells())
    for at in map(int, filter(None, missing.split(","))):
        assert cells[at] == ""
        cells[at] = None
    return cells


def v2(protocols: Protocols, model: str, columns: Columns, wanted: Sequence[str]) -> Cells | None:
    inputs = [
        {"name": name, "datatype": datatype, "shape": [len(cells)], "data": cells}
        for name, (datatype, cells) in columns.items()
    ]
    asked = {"inputs": inputs, "outputs": [{"name": name} for name in wanted]}
    answer = protocols.ask(f"/v2/models/{model}/infer", asked)
    if answer.status_code != 200:
        return None
    named = {"Infinity": math.inf, "-Infinity": -math.inf}
    return {
        one["name"]: [
            named.get(cell, cell) if one["datatype"] != BYTES else cell for cell in one["data"]
        ]
        for one in strictly(answer.content)["outputs"]
    }


def v2_binary(
    protocols: Protocols, model: str, columns: Columns, wanted: Sequence[str]
) -> Cells | None:
    data = [packed(*column) for column in columns.values()]
    inputs = [
        {
            "name": name, "datatype": datatype, "shape": [len(cells)],
            "parameters": {"binary_data_size": len(tensor)},
        }
        for (name, (datatype, cells)), tensor in zip(columns.items(), data, strict=True)
    ]  # fmt: skip
    asked = {"inputs": inputs, "outputs": [{"name": name} for name in wanted]}
    head = json.dumps(asked | {"parameters": {"binary_data_output": True}}).encode()
    answer = protocols.ask(
        f"/v2/models/{model}/infer", data=head + b"".join(data),
        headers={"Inference-Header-Content-Length": str(len(head))},
    )  # fmt: skip
    if answer.status_code != 200:
        return None
    size = int(answer.headers["Inference-Header-Content-Length"])
    rest, found = memoryview(answer.content)[size:], {}
    for one in strictly(answer.content[:size])["outputs"]:
        parameters = one["parameters"]
        here, rest = rest[: parameters["binary_data_size"]], rest[parameters["binary_data_size"] :]
        found[one["name"]] = dense(
            one["name"], one["datatype"], one["shape"], here, parameters.get("missing", "")
        )
    return found


def _grpc(
    protocols: Protocols, model: str, columns: Columns, wanted: Sequence[str], *, raw: bool
) -> Any:
    asked = message("ModelInferRequest")(model_name=model)
    for name, (datatype, cells) in columns.items():
        tensor = asked.inputs.add(name=name, datatype=datatype, shape=[len(cells)])
        if raw:
            asked.raw_input_contents.append(packed(datatype, cells))
        else:
            plain = [one.encode() for one in cells] if datatype == BYTES else cells
            getattr(tensor.contents, _CONTENTS[datatype]).extend(plain)
    for name in wanted:
        asked.outputs.add(name=name)
    with grpc.insecure_channel(protocols.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            body = infer(
                asked.SerializeToString(), metadata=(("authorization", f"Bearer {KEY}"),),
                timeout=60,
            )  # fmt: skip
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            return None
    response = message("ModelInferResponse").FromString(body)
    found = {}
    for at, one in enumerate(response.outputs):
        if response.raw_output_contents:
            data: Any = memoryview(response.raw_output_contents[at])
        else:
            ((_, contents),) = one.contents.ListFields()
            data = list(contents)
        missing = one.parameters["missing"].string_param if one.parameters else ""
        found[one.name] = dense(one.name, one.datatype, one.shape, data, missing)
    return found


def grpc_contents(protocols: Protocols, model: str, columns: Columns, wanted: Sequence[str]) -> Any:
    return _grpc(protocols, model, columns, wanted, raw=False)


def grpc_raw(protocols: Protocols, model: str, columns: Columns, wanted: Sequence[str]) -> Any:
    return _grpc(protocols, model, columns, wanted, raw=True)


MLFLOW: dict[str, Ask] = {"v1": v1, "torchserve": torchserve, "client": by_client}
DENSE: dict[str, Ask] = {
    "v2-binary": v2_binary, "grpc-contents": grpc_contents, "grpc-raw": grpc_raw
}  # fmt: skip


def known(cell: Any) -> Any:
    """A cell as all protocols mean it: None for what is missing, whatever stands for it."""
    if isinstance(cell, float) and math.isnan(cell):
        return None
    if isinstance(cell, dict):
        return {name: known(one) for name, one in cell.items()}
    return [known(one) for one in cell] if isinstance(cell, list) else cell


def same(column: str, one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether an answer of MLflow's protocol and one of another protocol hold the same."""
    expected = [known(None if cell == "NaT" else cell) for cell in one]
    found = [known(cell) for cell in other]
    if column in ("record", "mixed"):  # in text where a tensor holds no such thing
        expected, found = ([_told(cell) for cell in cells] for cells in (expected, found))
    return expected == found


def _told(cell: Any) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell)


QUESTIONS = {
    "without gaps": [0, 1],
    "a gap at the end": [0, 1, 2],
    "a gap at the start": [2, 1],
    "only gaps": [2, 2],
    "one row": [1],
    "many rows": [0, 1, 2] * 20,
}
# FP64, which has NaN, would change a value that stands beside the gap.
TOO_LARGE = {"Int64", "UInt64", "int64[pyarrow]", "uint64[pyarrow]", "whole"}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_column_of_every_type_is_answered_alike(protocols: Protocols, question: str) -> None:
    at = QUESTIONS[question]
    asked: Columns = {"at": ("INT64", at)}
    expected = invocations(protocols, "typed", asked, ())
    assert expected is not None
    for name, ask in MLFLOW.items():
        assert known(list((ask(protocols, "typed", asked, ()) or {}).values())) == known(
            list(expected.values())
        ), name
    answers = v2(protocols, "typed", asked, list(expected))
    assert answers is not None
    wrong = [
        ("v2", column, cells, answers[column])
        for column, cells in expected.items()
        if not same(column, cells, answers[column])
    ]
    refused = TOO_LARGE if 2 in at and {0, 1} & set(at) else set()
    fits = [column for column in expected if column not in refused]
    for name, ask in DENSE.items():
        found = ask(protocols, "typed", asked, fits)
        assert found is not None, name
        wrong += [
            (name, column, expected[column], found[column])
            for column in fits
            if not same(column, expected[column], found[column])
        ]
        assert all(ask(protocols, "typed", asked, [column]) is None for column in refused), name
    assert not wrong


LONGEST, INTEGER = 2**63, 2**31
INPUTS: dict[str, tuple[str, Columns]] = {
    "least": (
        "scalars",
        {
            "a": ("FP64", [-1.7976931348623157e308, -0.0]),
            "b": ("FP32", [-3.4028234663852886e38, 0.1]),
            "c": ("INT64", [-LONGEST, 0]),
            "d": ("INT32", [-INTEGER, 0]),
            "e": ("BOOL", [False, True]),
            "f": (BYTES, ["", "NaN"]),
        },
    ),
    "largest": (
        "scalars",
        {
            "a": ("FP64", [5e-324, 1.7976931348623157e308]),
            "b": ("FP32", [1.401298464324817e-45, 3.4028234663852886e38]),
            "c": ("INT64", [LONGEST - 1, 2**53 + 1]),
            "d": ("INT32", [INTEGER - 1, 1]),
            "e": ("BOOL", [True, True]),
            "f": (BYTES, ["null", "é\n \U0001f600"]),
        },
    ),
    "optional, whole": (
        "optional", {"a": ("FP64", [1.5]), "b": ("FP64", [2.5]), "f": (BYTES, ["x"])}
    ),
    "optional, left out": ("optional", {"a": ("FP64", [1.5, 2.5])}),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_a_model_is_given_the_same_in_every_protocol(protocols: Protocols, name: str) -> None:
    model, columns = INPUTS[name]
    expected = invocations(protocols, model, columns, ())
    assert expected is not None
    for protocol, ask in {**MLFLOW, "v2": v2, **DENSE}.items():
        assert ask(protocols, model, columns, ()) == expected, protocol


def test_a_missing_number_reaches_the_model_as_such_in_every_protocol(protocols: Protocols) -> None:
    """JSON has null for it and the dense forms NaN; a missing text can be told in JSON alone."""
    text: Columns = {"a": ("FP64", [1.5, None]), "b": ("FP64", [None, 2.5])}
    expected = invocations(protocols, "optional", text, ())
    assert expected is not None
    assert expected["a"][1] == "float64:nan"
    assert (
        by_client(protocols, "optional", text, ())
        == v2(protocols, "optional", text, ())
        == expected
    )
    numbers: Columns = {"a": ("FP64", [1.5, math.nan]), "b": ("FP64", [math.nan, 2.5])}
    for protocol, ask in DENSE.items():
        assert ask(protocols, "optional", numbers, ()) == expected, protocol
    text["f"] = (BYTES, ["x", None])
    assert v2(protocols, "optional", text, ()) == invocations(protocols, "optional", text, ())
