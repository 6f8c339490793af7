"""Records the end of every prediction request: spans, metrics and log lines.

`PredictionService` calls this for ASGI, which includes the clouds and a mounted application, and
`PendingResponse` for the fast path and for gRPC. A request that is refused before its model is
known is no prediction request.
"""

import asyncio
import logging

from cloche.serving.api.exchange import Exchange
from cloche.serving.api.front_log import FrontLog
from cloche.serving.observability.metrics import Metrics
from cloche.serving.observability.tracing import Tracing
from cloche.serving.processes.frames import Answer
from cloche.serving.settings import Settings
from cloche.serving.web.asgi import HttpError

_access = logging.getLogger("cloche.access")
# users' log filters name predictions.py, where this code was
_logger = logging.getLogger("cloche.serving.api.predictions")


class RequestObserver:
    """Makes the span, the metrics and the log line at the end of each prediction request.

    Whatever else must happen then belongs in `after_answer`.

    Attributes:
        log: The prediction log; None if there is none.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, tracing: Tracing | None,
        log: FrontLog | None = None,
    ) -> None:  # fmt: skip
        self._access_log = settings.access_log
        self._metrics = metrics
        self._tracing = tracing
        self.log = log
        self._loop = asyncio.get_running_loop()

    @property
    def traced(self) -> bool:
        """Whether requests are traced."""
        return self._tracing is not None

    def before_answer(self, exchange: Exchange, outcome: Answer | HttpError) -> None:
        """Observe a request whose answer is sent next, with the trace context that this sets."""
        if self.log is not None:
            self.log.before_answer(exchange, outcome)
        if self._tracing is not None:
            exchange.trace = self._tracing.record(
                exchange.scope, outcome.status, exchange.started, exchange.request,
                model=exchange.target.model.name, route=exchange.target.template,
            )  # fmt: skip

    def after_answer(self, exchange: Exchange, outcome: Answer | HttpError) -> None:
        """Observe a request whose answer was sent."""
        model, served, status = exchange.target.model.name, exchange.version, outcome.status
        seconds = self._loop.time() - exchange.started
        self._metrics.count_request(model, served, status, seconds)
        if status >= 400:
            self._count_error(model, outcome)
        if status >= 500 or self._access_log:
            log = _logger.error if status >= 500 else _access.info
            log(
                "%s %s %d", exchange.scope["method"], exchange.scope["path"], status,
                extra={"request_id": exchange.id.decode(), "model": model, "version": served,
                       "seconds": round(seconds, 6), "trace": exchange.trace.decode() or None},
            )  # fmt: skip
        exchange.request = None  # breaks a reference cycle, which only the collector would free

    def client_left(self, exchange: Exchange) -> None:
        """Observe a request whose client left before the answer."""
        self._metrics.abandoned.labels(exchange.target.model.name).inc()

    def _count_error(self, model: str, outcome: Answer | HttpError) -> None:
        """Count the front's own errors that have a metric of their own."""
        if isinstance(outcome, HttpError) and outcome.status == 429:
            self._metrics.rejected.labels(model, "queue full").inc()
        elif isinstance(outcome, HttpError) and outcome.status == 504:
            self._metrics.expired.labels(model).inc()
