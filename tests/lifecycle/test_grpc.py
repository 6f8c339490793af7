"""Calls whose clients leave, or wait no longer; calls that are traced; calls as a server ends."""

import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.lifecycle.registry import Registry, Serve, infer_request, serving_production
from tests.lifecycle.test_tracing import TRACE, Collector, collector
from tests.online import Server, children, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lifecycle-grpc")]

__all__ = ["collector"]  # a fixture
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose model takes half a second for a batch."""
    folder = tmp_path_factory.mktemp("grpc")
    with serving_production(folder, "--grpc-port", "0", behaviour="is slow") as server:
        yield server


@pytest.fixture
def channel(slow: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(slow.grpc_address()) as channel:
        yield channel


def ask(channel: grpc.Channel, seconds: float = 60) -> grpc.Future:
    return channel.unary_unary(INFER).future(infer_request(), timeout=seconds)


def at_work(server: Server, count: int) -> None:
    """Wait until `count` requests are being answered."""
    wait_for(lambda: server.metric("cloche_requests_in_progress") == count)


def test_a_call_that_was_taken_back_is_not_scored(slow: Server, channel: grpc.Channel) -> None:
    rows = slow.metric("cloche_rows_total")
    first = ask(channel)
    at_work(slow, 1)
    second = ask(channel)
    at_work(slow, 2)
    second.cancel()
    assert first.result()
    at_work(slow, 0)
    assert slow.metric("cloche_abandoned_requests_total") == 1
    assert slow.metric("cloche_rows_total") == rows + 1


def test_a_call_ends_when_its_client_waits_no_longer(slow: Server, channel: grpc.Channel) -> None:
    first = ask(channel)
    at_work(slow, 1)
    second = ask(channel, 0.2)
    assert second.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert first.result()
    at_work(slow, 0)
    gone = ("cloche_expired_requests_total", "cloche_abandoned_requests_total")
    assert sum(map(slow.metric, gone)) >= 1  # whichever side's clock was first


@pytest.mark.breadth
def test_only_the_front_has_grpc(registry: Registry, serve: Serve) -> None:
    """What forks, and what is forked, has none of its threads and locks."""
    registry.register("", promote=True)
    server = serve("--grpc-port", "0").wait_until_ready()
    with grpc.insecure_channel(server.grpc_address()) as channel:
        assert ask(channel).result()
    front = server.process.pid
    forks = [*children(front, "cloche-forks"), *server.hosts()]
    assert len(forks) > 1
    found = [pid for pid in (front, *forks) if "cygrpc" in Path(f"/proc/{pid}/maps").read_text()]
    assert found == [front]


def test_sigterm_finishes_calls_that_run(registry: Registry, serve: Serve) -> None:
    registry.register("is slow", promote=True)
    server = serve("--grpc-port", "0").wait_until_ready()
    with grpc.insecure_channel(server.grpc_address()) as channel:
        calls = [ask(channel) for _ in range(3)]
        at_work(server, 3)
        server.process.send_signal(signal.SIGTERM)
        assert all(call.result() for call in calls)
        assert server.process.wait(60) == 0


def test_a_call_leaves_its_spans(
    registry: Registry, serve: Serve, collector: Collector
) -> None:  # fmt: skip
    registry.register("", promote=True)
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    server = serve("--grpc-port", "0", **endpoint).wait_until_ready()
    parent = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),)
    with grpc.insecure_channel(server.grpc_address()) as channel:
        _, call = channel.unary_unary(INFER).with_call(infer_request(), metadata=parent, timeout=60)
    told = dict(call.trailing_metadata())
    assert server.end() == 0
    (resource,) = collector.received
    spans = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert spans.keys() == {f"POST {INFER}", "queue", "predict"}
    own = spans[f"POST {INFER}"]
    assert told["traceresponse"] == f"00-{TRACE}-{own.span_id.hex()}-01"
    said = {one.key: one.value.string_value for one in own.attributes}
    assert said["network.protocol.version"] == "2"
