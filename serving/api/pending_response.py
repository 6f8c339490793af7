"""A request that waits without a task: where its ending is put, and from there to the client."""

from abc import ABC, abstractmethod

from cloche.serving.api.predictions import Exchange, Predictions
from cloche.serving.processes.frames import Answer
from cloche.serving.queue.prediction_request import Ended
from cloche.serving.web.asgi import ClientLeft, HttpError


class PendingResponse(ABC):
    """The outcome of one request."""

    __slots__ = ("_done", "exchange", "predictions")

    def __init__(self, predictions: Predictions, exchange: Exchange) -> None:
        self.predictions = predictions
        self.exchange = exchange
        self._done = False

    @abstractmethod
    def answer(self, ended: Answer | HttpError) -> int:
        """Tell the client how the request ended; the status that it was answered."""

    def done(self) -> bool:
        """Whether it ended."""
        return self._done

    def set_result(self, answer: Answer) -> None:
        """Send the answer of a host."""
        self.end(answer)

    def set_exception(self, ended: Ended) -> None:
        """Say why no host answered, unless nobody is there to hear it."""
        self.end(self.predictions.ending(self.exchange, ended))

    def end(self, ended: Answer | HttpError | ClientLeft) -> None:
        """Answer the request, and count it."""
        exchange = self.exchange
        self._done = True
        exchange.target.model.in_progress -= 1
        if isinstance(ended, ClientLeft):
            self.predictions.abandon(exchange)
            return
        status = self.answer(ended)
        self.predictions.count(exchange, status)
