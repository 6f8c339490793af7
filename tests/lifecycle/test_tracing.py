"""Spans reach a collector over OTLP; one that is not there holds up nothing."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from tests.lifecycle.registry import Registry, Serve
from tests.shell import free_port

pytestmark = pytest.mark.slow

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(ThreadingHTTPServer):
    """An OTLP collector on a free port."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[ResourceSpans] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.received += ExportTraceServiceRequest.FromString(body).resource_spans
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


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
