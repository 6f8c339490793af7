"""Whatever is sent is answered in its protocol's form, and is never our mistake."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.serving.host.codecs.open_inference.messages import message
from tests.protocol.others.clients import KEY, KINDS, Protocols

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("protocols")]

often = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
once_and_again = pytest.mark.parametrize(
    "run", [1, *(pytest.param(run, marks=pytest.mark.breadth) for run in range(2, 9))]
)
kinds = st.sampled_from(KINDS)
names = st.sampled_from(["a", "b", "f", "x", ""])
datatypes = st.sampled_from(
    ["FP64", "FP32", "FP16", "INT64", "UINT64", "INT8", "BOOL", "BYTES", "x"]
)
axes = st.integers(-1, 3) | st.just(2**62)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from([2**64, 10**400, 1e300, "b64", ""])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "f", "b64"]), inner, max_size=3)
    ),
    max_leaves=8,
)
tensors = st.fixed_dictionaries(
    {"name": names | values, "shape": st.lists(axes, max_size=3) | values},
    optional={
        "datatype": datatypes | values,
        "data": st.lists(scalars, max_size=4) | values,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20)}) | values,
    },
)
v2_bodies = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=3) | values},
    optional={
        "outputs": st.lists(st.fixed_dictionaries({"name": names}), max_size=2) | values,
        "parameters": values,
        "id": values,
    },
)
v1_bodies = st.dictionaries(
    st.sampled_from(["instances", "inputs", "signature_name", "params", "x"]), values, max_size=3
)


def check(response: requests.Response, keys: set[str]) -> None:
    assert response.status_code < 500, response.text
    assert "Traceback" not in response.text
    if response.status_code != 200:
        assert response.json().keys() == keys


@once_and_again
@often
@given(
    kind=kinds,
    text=v2_bodies.map(json.dumps) | st.text(max_size=20),
    tail=st.binary(max_size=20),
    off=axes,
)
def test_v2(protocols: Protocols, kind: str, text: str, tail: bytes, off: int, *, run: int) -> None:
    size = len(text.encode()) + (off if off < 1 else 0)
    headers = {"Inference-Header-Content-Length": str(size)} if tail or off < 1 else {}
    body = text.encode() + tail
    check(protocols.ask(f"/v2/models/{kind}/infer", data=body, headers=headers), {"error"})


@once_and_again
@often
@given(kinds, v1_bodies.map(json.dumps) | st.text(max_size=20))
def test_v1(protocols: Protocols, run: int, kind: str, text: str) -> None:
    check(protocols.ask(f"/v1/models/{kind}:predict", data=text.encode()), {"error"})


@once_and_again
@often
@given(kinds, v1_bodies.map(json.dumps) | st.text(max_size=20))
def test_torchserve(protocols: Protocols, run: int, kind: str, text: str) -> None:
    response = protocols.ask(f"/predictions/{kind}", data=text.encode())
    check(response, {"code", "type", "message"})


small = st.integers(-(2**31), 2**31 - 1)
contents = st.builds(
    message("InferTensorContents"),
    fp64_contents=st.lists(st.floats(), max_size=3),
    int_contents=st.lists(small, max_size=3),
    bytes_contents=st.lists(st.binary(max_size=5), max_size=3),
)
grpc_tensors = st.builds(
    message("ModelInferRequest").InferInputTensor, name=names, datatype=datatypes,
    shape=st.lists(axes, max_size=3), contents=contents,
)  # fmt: skip
grpc_bodies = st.builds(
    message("ModelInferRequest"),
    model_name=kinds,
    model_version=st.sampled_from(["", "", "77"]),
    inputs=st.lists(grpc_tensors, max_size=3),
    raw_input_contents=st.lists(st.binary(max_size=20), max_size=3),
).map(lambda asked: asked.SerializeToString())
FINE = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


@once_and_again
@often
@given(grpc_bodies | st.binary(max_size=50))
def test_grpc(protocols: Protocols, run: int, body: bytes) -> None:
    with grpc.insecure_channel(protocols.grpc) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        answered = call.future(body, metadata=(("authorization", f"Bearer {KEY}"),), timeout=30)
        assert answered.code() in FINE, answered.details()


def test_no_host_was_lost_over_it(protocols: Protocols) -> None:
    assert protocols.server.metric("cloche_lost_hosts_total") == 0


@pytest.mark.parametrize("verb", ["explain", "classify", "regress"])
def test_what_v1_has_beside_predict_is_told_by_name(protocols: Protocols, verb: str) -> None:
    answer = protocols.ask(f"/v1/models/{KINDS[0]}:{verb}", data=b'{"instances": []}')
    assert answer.status_code == 404
    assert "is asked by :predict; :explain" in answer.json()["error"]


def test_a_method_that_is_not_there_is_refused_before_its_client_has_said_all(
    protocols: Protocols,
) -> None:
    told = threading.Event()

    def messages() -> Iterator[bytes]:
        yield b"\x0a\x05frame"
        told.wait(120)

    with grpc.insecure_channel(protocols.grpc) as channel:
        call = channel.stream_unary("/inference.GRPCInferenceService/ModelStreamInfer")
        try:
            with pytest.raises(grpc.RpcError) as caught:
                call(messages(), timeout=60)
        finally:
            told.set()
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/v2/nothing", {"error"}),
        ("/v2/models/frame/infer", {"error"}),
        ("/v1/models/frame:predict", {"error"}),
        ("/predictions/frame", {"code", "type", "message"}),
        ("/invocations", {"error_code", "message"}),
    ],
)
def test_a_missing_key_is_told_in_each_form(
    protocols: Protocols, path: str, keys: set[str]
) -> None:
    response: Any = requests.post(protocols.server.url + path, data=b"{}", timeout=30)
    assert response.status_code == 401
    assert response.json().keys() == keys
