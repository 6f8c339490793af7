"""Which spans a request leaves, and when tracing is off."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cloche.serving.observability.tracing import Tracing, from_environment
from cloche.serving.processes.frames import Item
from cloche.serving.queue.prediction_request import (
    PredictionRequest,
    StageProgress,
    StageVisit,
)

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "method": "POST", "path": "/models/m/versions/7/invocations", "scheme": "http",
        "http_version": "1.1", "client": ("10.0.0.9", 5), "server": ("10.0.0.1", 80),
        "headers": [*headers],
    }  # fmt: skip


ROUTE = "/models/{name}/versions/{version}/invocations"


def scored(attempts: int) -> PredictionRequest:
    """A request that came at second 10 of the loop's clock, and was given to a host at 12."""
    return PredictionRequest(
        rows=1, size=2, arrived=10.0, deadline=99.0, item=Item("application/json", b"{}"),
        receiver=asyncio.get_running_loop().create_future(),
        client_left=lambda: False, attempts=attempts, sent_at=12.0, version="7",
    )  # fmt: skip


def record(
    *headers: tuple[bytes, bytes],
    status: int = 200,
    request: Callable[[], PredictionRequest | None] = lambda: None,
) -> tuple[bytes, dict[str, ReadableSpan]]:
    """The answer's header and the spans by name, of one request."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def scenario() -> bytes:
        return Tracing(provider).record(
            scope(*headers), status, 10.0, request(), model="m", route=ROUTE
        )

    trace = asyncio.run(scenario())
    return trace, {span.name: span for span in exporter.get_finished_spans()}


SERVER = f"POST {ROUTE}"


def test_a_request_leaves_a_span_with_the_queue_and_the_prediction_in_it() -> None:
    _, spans = record(request=lambda: scored(attempts=1))
    assert spans.keys() == {SERVER, "queue", "predict"}
    server, queue, predict = spans[SERVER], spans["queue"], spans["predict"]
    assert server.kind is SpanKind.SERVER
    assert all(child.parent.span_id == server.context.span_id for child in (queue, predict))
    assert server.start_time == queue.start_time
    assert queue.end_time - queue.start_time == 2_000_000_000
    assert queue.end_time == predict.start_time
    assert predict.end_time == server.end_time


def test_each_stage_has_a_span_with_its_version_and_its_own_queue() -> None:
    def staged() -> PredictionRequest:
        request = scored(attempts=1)
        request.stages = StageProgress("features/3", 0)
        request.stages.visits = [StageVisit("features", "3", 10.0, 11.0), StageVisit("", "", 14.0)]
        return request

    _, spans = record(request=staged)
    stage, queues = spans["stage features"], spans["queue"]
    assert dict(stage.attributes) == {
        "cloche.model.name": "features", "cloche.model.version": "3"
    }  # fmt: skip
    assert spans.keys() == {SERVER, "stage features", "queue", "predict"}
    assert stage.end_time - stage.start_time == 4_000_000_000
    predict = spans["predict"]
    assert predict.parent.span_id == stage.context.span_id
    assert (predict.start_time - stage.start_time, predict.end_time) == (
        1_000_000_000, stage.end_time,
    )  # fmt: skip
    # the model's own, in which the request ended
    assert queues.parent.span_id == spans[SERVER].context.span_id == stage.parent.span_id
    assert (queues.start_time, queues.end_time) == (stage.end_time, spans[SERVER].end_time)


def test_attributes_are_those_of_the_semantic_conventions() -> None:
    _, spans = record((b"user-agent", b"test"), request=lambda: scored(attempts=2))
    assert dict(spans[SERVER].attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/models/{name}/versions/{version}/invocations",
        "url.path": "/models/m/versions/7/invocations",
        "url.scheme": "http", "network.protocol.version": "1.1", "client.address": "10.0.0.9",
        "server.address": "10.0.0.1", "server.port": 80, "user_agent.original": "test",
        "cloche.model.name": "m", "cloche.model.version": "7", "cloche.attempts": 2,
    }  # fmt: skip


@pytest.mark.parametrize(("status", "code"), [(200, "UNSET"), (400, "UNSET"), (504, "ERROR")])
def test_only_the_servers_own_failures_are_errors(status: int, code: str) -> None:
    _, spans = record(status=status, request=lambda: scored(attempts=0))
    assert spans[SERVER].status.status_code is StatusCode[code]
    assert spans.keys() == {SERVER, "queue"}  # it reached no host


def test_the_callers_trace_is_continued_and_told_in_the_answer() -> None:
    trace, spans = record((b"traceparent", PARENT + b"01"))
    context = spans[SERVER].context
    assert f"{context.trace_id:x}" == "af7651916cd43dd8448eb211c80319c"
    assert spans[SERVER].parent.span_id == 0xB7AD6B7169203331
    assert trace == PARENT[:36] + f"{context.span_id:016x}-01".encode()


def test_a_caller_who_does_not_sample_is_not_sampled() -> None:
    trace, spans = record((b"traceparent", PARENT + b"00"), request=lambda: scored(attempts=1))
    assert not spans
    assert trace.endswith(b"-00")


@pytest.mark.parametrize(
    "environment",
    [
        {}, {"OTEL_SERVICE_NAME": "x"}, ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
    ],
)  # fmt: skip
def test_it_is_off_until_a_collector_is_named(environment: dict[str, str]) -> None:
    assert from_environment(environment) is None
