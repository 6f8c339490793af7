"""What gRPC tells beside a prediction, to whom, and how it is asked for health."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from cloche.serving.host.codecs.open_inference.messages import message
from tests.protocol.others.clients import KEY, Protocols, bearer
from tests.triton.client import Triton

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("protocols")]

SERVICE = "/inference.GRPCInferenceService"
CHECK = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"
KEYED = (("authorization", f"Bearer {KEY}"), ("x-request-id", "mine"))


@pytest.fixture
def channel(protocols: Protocols) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(protocols.grpc) as channel:
        yield channel


def question() -> bytes:
    asked = message("ModelInferRequest")(model_name="frame")
    for name, value in {"a": 0.5, "b": 1.0}.items():
        asked.inputs.add(name=name, datatype="FP64", shape=[1]).contents.fp64_contents.append(value)
    body: bytes = asked.SerializeToString()
    return body


def test_an_answer_names_itself_and_who_gave_it(channel: grpc.Channel) -> None:
    infer = channel.unary_unary(f"{SERVICE}/ModelInfer")
    _, call = infer.with_call(question(), metadata=KEYED, timeout=60)
    told = dict(call.trailing_metadata())
    assert (told["x-request-id"], told["x-model-name"]) == ("mine", "frame")
    assert "x-model-version" in told


def test_so_does_a_refusal(channel: grpc.Channel) -> None:
    asked = message("ModelInferRequest")(model_name="frame").SerializeToString()
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"{SERVICE}/ModelInfer")(asked, metadata=KEYED, timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    told = dict(caught.value.trailing_metadata())
    assert (told["x-request-id"], told["x-model-name"]) == ("mine", "frame")


def test_a_question_may_be_packed(protocols: Protocols, triton: Triton) -> None:
    columns = {name: np.zeros(5000) for name in ("a", "b")}
    result = triton.infer(
        "grpc", protocols.grpc, "frame", columns, headers=bearer(), compression_algorithm="gzip"
    )
    assert result["outputs"]["probability"].shape == (5000,)


@pytest.mark.parametrize("service", ["", SERVICE[1:]])
def test_whoever_asks_for_health_needs_no_key(channel: grpc.Channel, service: str) -> None:
    asked = bytes([0x0A, len(service)]) + service.encode() if service else b""
    assert channel.unary_unary(CHECK)(asked, timeout=60) == SERVING


def test_the_health_of_another_service_is_not_known(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(CHECK)(b"\x0a\x01x", timeout=60)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", ["ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer"])
def test_everything_about_models_needs_one(channel: grpc.Channel, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"{SERVICE}/{method}")(b"", timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata", "ModelInfer"])
def test_a_message_that_cannot_be_read_is_the_callers_mistake(
    channel: grpc.Channel, method: str
) -> None:
    ask = channel.unary_unary(f"{SERVICE}/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        ask(b"\xff\xff\xff", metadata=KEYED, timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
