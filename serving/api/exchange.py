"""A prediction request with its target, headers and trace, in the same form for all protocols."""

from dataclasses import dataclass

from cloche.serving.api.route_target import RouteTarget
from cloche.serving.processes.frames import LogNote
from cloche.serving.queue.prediction_request import PredictionRequest
from cloche.serving.web.asgi import HeaderList, Scope, header_name, header_text
from cloche.serving.web.request_headers import RequestHeaders


@dataclass(slots=True)
class Exchange:
    """A prediction request that is being answered.

    Attributes:
        target: The model, version and protocol of the request.
        scope: The ASGI scope, or a mapping with the keys of it that are used.
        request_headers: The parsed headers of the request.
        id: The ID of the request in logs and in the answer.
        started: The time of arrival, on the loop's clock.
        serving: The version that served at that time; empty if none did.
        trace: The W3C trace context of the answer; empty for none.
        request: The queued request; None if it was not queued.
        log: What the prediction log needs to know; None if nothing is logged.
    """

    target: RouteTarget
    scope: Scope
    request_headers: RequestHeaders
    id: bytes
    started: float
    serving: str
    trace: bytes
    request: PredictionRequest | None = None
    log: LogNote | None = None

    @property
    def version(self) -> str:
        """The version that answered, or else the one that served when the request arrived."""
        return (self.request.version if self.request else "") or self.serving

    def answer_headers(self) -> HeaderList:
        """The headers of the answer, which gRPC sends as metadata; their values are ASCII."""
        headers = [
            (b"x-request-id", self.id),
            (b"x-model-name", header_name(self.target.model.name)),
            (b"x-model-version", header_text(self.version)),
        ]
        if self.request and self.request.stages:
            headers.append((b"x-model-stages", header_text(self.request.stages.names)))
        if self.request and self.request.arm:
            headers.append((b"x-model-arm", self.request.arm))
        if self.trace:
            headers.append((b"traceresponse", self.trace))
        return headers
