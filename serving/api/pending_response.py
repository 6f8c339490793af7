"""The response to a request that waits without a task of its own."""

from abc import ABC, abstractmethod

from cloche.serving.api.exchange import Exchange
from cloche.serving.api.predictions import PredictionService
from cloche.serving.processes.frames import Answer
from cloche.serving.queue.prediction_request import RequestEnded
from cloche.serving.web.asgi import ClientLeft, HttpError


class PendingResponse(ABC):
    """Receives the outcome of one request, and answers the client."""

    __slots__ = ("_done", "exchange", "predictions")

    def __init__(self, predictions: PredictionService, exchange: Exchange) -> None:
        self.predictions = predictions
        self.exchange = exchange
        self._done = False

    @abstractmethod
    def answer(self, outcome: Answer | HttpError) -> None:
        """Send the outcome to the client."""

    def done(self) -> bool:
        """Whether the request has ended."""
        return self._done

    def set_result(self, answer: Answer) -> None:
        """End the request with the answer of a model host."""
        self.end(answer)

    def set_exception(self, ended: RequestEnded) -> None:
        """End the request with an error, or without an answer if the client left."""
        self.end(self.predictions.error_of(self.exchange, ended))

    def end(self, outcome: Answer | HttpError | ClientLeft) -> None:
        """Answer the request."""
        exchange, observer = self.exchange, self.predictions.observer
        self._done = True
        exchange.target.model.in_progress -= 1
        if isinstance(outcome, ClientLeft):
            observer.client_left(exchange)
            return
        self.answer(outcome)
        observer.after_answer(exchange, outcome)
