"""Ends requests whose time is up: one clock for all, instead of a timer for each."""

import asyncio
from collections import deque

from cloche.serving.queue.prediction_request import EXPIRED, PredictionRequest

_TICK_SECONDS = 0.05


class Deadlines:
    """Watches requests that all have the same time, and therefore expire in the order they came."""

    def __init__(self) -> None:
        self._requests: deque[PredictionRequest] = deque()

    def add(self, request: PredictionRequest) -> None:
        """End `request` when its deadline passes, unless it ended before."""
        self._requests.append(request)

    def sweep(self, now: float) -> None:
        """End what expired, and let go of what ended."""
        requests = self._requests
        while requests:
            first = requests[0]
            if not first.outcome.done():
                if first.deadline > now:
                    return
                first.end(EXPIRED)
            requests.popleft()

    async def run(self) -> None:
        """Sweep for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self.sweep(loop.time())
            await asyncio.sleep(_TICK_SECONDS)
