"""Ends requests whose deadline has passed, with one timer for all of them."""

import asyncio
from collections import deque

from cloche.serving.queue.prediction_request import EXPIRED, PredictionRequest

_TICK_SECONDS = 0.05


class Deadlines:
    """Watches requests with the same timeout, which therefore expire in the order of arrival.

    gRPC clients may set shorter timeouts, which have timers of their own.
    """

    def __init__(self) -> None:
        self._requests: deque[PredictionRequest] = deque()

    def add(self, request: PredictionRequest) -> None:
        """End `request` when its deadline passes, unless it has ended."""
        self._requests.append(request)

    def sweep(self, now: float) -> None:
        """End the requests that have expired, and drop those that have ended."""
        requests = self._requests
        while requests:
            first = requests[0]
            if not first.receiver.done():
                if first.deadline > now:
                    return
                first.end(EXPIRED)
            requests.popleft()

    async def run(self) -> None:
        """Sweep repeatedly, until this task is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.sweep(loop.time())
            await asyncio.sleep(_TICK_SECONDS)
