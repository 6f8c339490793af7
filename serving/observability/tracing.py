"""OpenTelemetry spans of prediction requests.

Tracing is off until the standard variables (`OTEL_EXPORTER_OTLP_ENDPOINT` and similar) name a
collector. Only then is the SDK imported, which reads its other variables itself: sampler, service
name, headers, batching.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from cloche.serving.errors import SettingsError
from cloche.serving.queue.prediction_request import PredictionRequest
from cloche.serving.web.asgi import Scope

if TYPE_CHECKING:  # an optional extra
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_SERVICE = "cloche"
_FLUSH_SECONDS = 5.0


class Tracing:
    """Makes a span for every prediction request, with child spans for the queue and the model.

    If stages are before the model, the time of each is a child span with its own queue in it.
    The spans of a request are made when it is answered, from the times recorded on its way.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import propagate, trace  # noqa: PLC0415  # an optional extra

        self._provider = provider
        self._trace = trace
        self._extract = propagate.extract
        self._tracer = provider.get_tracer("cloche.serving")
        self._loop = asyncio.get_running_loop()

    def record(
        self,
        scope: Scope,
        status: int,
        started: float,
        request: PredictionRequest | None,
        *,
        model: str,
        route: str,
    ) -> bytes:
        """Make the spans of a request answered now; return the value of `traceresponse`."""
        trace = self._trace
        now = time.time_ns()
        offset = now - int(self._loop.time() * 1e9)  # from the loop's clock to Unix time
        carrier = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        span = self._tracer.start_span(
            f"{scope['method']} {route}",
            self._extract(carrier),
            trace.SpanKind.SERVER,
            _http(scope, carrier, route) | {"cloche.model.name": model},
            start_time=offset + int(started * 1e9),
        )
        if span.is_recording():
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_attribute("error.type", str(status))
                span.set_status(trace.StatusCode.ERROR)
            if request is not None:
                self._record_way(trace.set_span_in_context(span), request, offset, now)
                span.set_attribute("cloche.model.version", request.version)
                span.set_attribute("cloche.attempts", request.attempts)
        span.end(now)
        context = span.get_span_context()
        return (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}".encode()
        )

    def _record_way(
        self, parent: "Context", request: PredictionRequest, offset: int, now: int
    ) -> None:
        """Make the child spans of the stages, if there are any, and of the model."""

        def unix(seconds: float) -> int:
            return offset + int(seconds * 1e9)

        if request.stages is None:
            sent = unix(request.sent_at) if request.attempts else None
            self._record_prediction(parent, unix(request.arrived), sent, now)
            return
        visits = request.stages.visits
        ends = [*(unix(following.arrived) for following in visits[1:]), now]
        for visit, end in zip(visits, ends, strict=True):
            began, sent = unix(visit.arrived), unix(visit.sent_at) if visit.sent_at else None
            if not visit.name:
                self._record_prediction(parent, began, sent, end)
                continue
            version = {
                "cloche.model.name": visit.name, "cloche.model.version": visit.version,
            }  # fmt: skip
            span = self._tracer.start_span(
                f"stage {visit.name}", parent, attributes=version, start_time=began
            )
            self._record_prediction(self._trace.set_span_in_context(span), began, sent, end)
            span.end(end)

    def _record_prediction(self, parent: "Context", began: int, sent: int | None, end: int) -> None:
        """Make the spans `queue`, until a host last received the request, and then `predict`."""
        self._tracer.start_span("queue", parent, start_time=began).end(sent or end)
        if sent is not None:
            self._tracer.start_span("predict", parent, start_time=sent).end(end)

    async def close(self) -> None:
        """Send the remaining spans, for a few seconds at most."""
        # a daemon thread: retries to an absent collector must not keep the process alive
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, _FLUSH_SECONDS)


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Tracing | None]:
    """The tracing that `from_environment` returns, closed at the end of the context."""
    traces = from_environment()
    try:
        yield traces
    finally:
        if traces is not None:
            await traces.close()


def from_environment(environment: Mapping[str, str] = os.environ) -> Tracing | None:
    """Tracing as the standard variables configure it; None if they name no collector or disable it.

    Raises:
        SettingsError: The variables require a protocol or a package that is not available.
    """
    endpoint = next((name for name in _ENDPOINTS if environment.get(name)), "")
    off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if not endpoint or off or environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return None
    for name in _PROTOCOLS:
        if environment.get(name, _PROTOCOL) != _PROTOCOL:
            raise SettingsError(
                f"{name}={environment[name]}: spans are sent as {_PROTOCOL} only. Set it to that, "
                f"and the port in {endpoint} to the collector's for HTTP, usually 4318."
            )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"{endpoint} is set, and what sends spans is not installed: "
            "pip install 'cloche[otel]', or set OTEL_SDK_DISABLED=true."
        ) from error
    named = environment.get("OTEL_SERVICE_NAME") or _SERVICE
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: named}), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _http(scope: Scope, headers: Mapping[str, str], route: str) -> "dict[str, AttributeValue]":
    """The attributes of a server span, by OpenTelemetry's semantic conventions for HTTP."""
    client, server = scope.get("client"), scope.get("server")
    attributes: dict[str, AttributeValue] = {
        "http.request.method": scope["method"],
        "http.route": route,
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
    }
    if client:
        attributes["client.address"] = client[0]
    if server:
        attributes |= {"server.address": server[0], "server.port": server[1]}
    if agent := headers.get("user-agent"):
        attributes["user_agent.original"] = agent
    return attributes
