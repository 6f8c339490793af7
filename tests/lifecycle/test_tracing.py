"""Spans reach a collector over OTLP; one that is not there holds up nothing."""

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from tests.broken_servers import answering, nothing
from tests.lifecycle.registry import Registry, Serve
from tests.shell import free_port

pytestmark = pytest.mark.slow

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """What an OTLP collector is sent, and its address."""

    url: str

    def __init__(self) -> None:
        self.received: list[ResourceSpans] = []

    def __call__(self, handler: Any, body: bytes) -> None:
        if handler.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.received += ExportTraceServiceRequest.FromString(body).resource_spans
        nothing(handler, body)


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    with answering(collector) as collector.url:
        yield collector


def test_a_request_leaves_its_spans_with_the_collector(
    registry: Registry, serve: Serve, collector: Collector
) -> None:
    registry.register("", promote=True)
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url).wait_until_ready()
    sent = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    answer = server.predict(headers=sent)
    assert server.end() == 0  # what was not sent yet is sent at the end
    (resource,) = collector.received
    spans = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert spans.keys() == {"POST /invocations", "queue", "predict"}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    own = spans["POST /invocations"].span_id.hex()
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{own}-01"
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert named["service.name"] == "cloche"


def test_a_collector_that_is_not_there_holds_up_nothing(registry: Registry, serve: Serve) -> None:
    registry.register("", promote=True)
    nowhere = f"http://127.0.0.1:{free_port()}"
    limited = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}  # of 10 seconds
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=nowhere, **limited).wait_until_ready()
    assert server.predict().ok
    assert server.end() == 0
