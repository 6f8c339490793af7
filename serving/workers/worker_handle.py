"""One worker as its parent sees it: a process, what it has loaded, and whether it still answers."""

import asyncio
import contextlib
import logging
from typing import Any

from cloche.serving.errors import ServingError
from cloche.serving.observability.metrics import Metrics
from cloche.serving.observability.worker_counts import WorkerCounts
from cloche.serving.processes.peer import Peer, PeerLost

_STATE_SECONDS = 0.5  # then its last state is told
_PING_SECONDS = 2.0
_MISSED_PINGS = 5  # a worker that answers nothing for so long is ended, and another one started
_logger = logging.getLogger(__name__)


class WorkerHandle:
    """One worker.

    Attributes:
        loaded: How many warm replicas its version pools have, by the key of each that is loaded.
        given_up: The keys of the canaries and shadows that it could not load.
        listening: Whether it accepts connections.
        state: What it said last: requests `in_progress` by model, `queued` and `replicas` by the
            key of a version pool.
    """

    def __init__(self, process: asyncio.subprocess.Process, peer: Peer) -> None:
        self.process = process
        self.peer = peer
        self.loaded: dict[int, int] = {}
        self.given_up: set[int] = set()
        self.listening = False
        self.state: dict[str, dict[str, int]] = {}
        self.counts = WorkerCounts()

    async def ask_state(self, metrics: Metrics) -> None:
        """Ask for its state, and add what it has counted to the metrics, unless it is busy."""
        with contextlib.suppress(PeerLost, ServingError, TimeoutError):
            async with asyncio.timeout(_STATE_SECONDS):
                answer = await self.peer.call("state")
            self.state = answer["state"]
            replicas = self.state["replicas"]
            self.loaded = {key: replicas.get(str(key), 0) for key in self.loaded}
            self.counts.update(metrics, answer)

    async def call(self, name: str, **about: Any) -> Any:
        """Call a handler of the worker, and return its answer.

        A worker that hangs does not delay this for ever: see `end_if_silent`.

        Raises:
            PeerLost: The worker has ended, and answers no requests any more.
            ServingError: The handler failed.
        """
        try:
            return await self.peer.call(name, **about)
        except PeerLost:
            self.kill()
            await self.process.wait()
            raise

    async def call_or_end(self, name: str, **about: Any) -> None:
        """Have the worker do something at once; end it if it does not."""
        try:
            await self.call(name, **about)
        except PeerLost:
            pass
        except ServingError:
            _logger.exception("A worker is ended: it failed.", extra={"pid": self.process.pid})
            self.kill()
            await self.process.wait()

    async def end_if_silent(self) -> None:
        """End the worker when it answers no call any more, because it hangs or was stopped.

        Whatever waits for the worker, a switch above all, waits no longer then. The worker is given
        time from its first answer on: before, it has imports to make.
        """
        try:
            await self.peer.call("ping")
            while True:
                await asyncio.sleep(_PING_SECONDS)
                await self._pinged()
        except PeerLost:
            return
        except TimeoutError:
            _logger.error(  # noqa: TRY400  # a traceback would add nothing
                "A worker is ended: it has not answered its parent for %g s.",
                _MISSED_PINGS * _PING_SECONDS, extra={"pid": self.process.pid},
            )  # fmt: skip
            self.kill()

    async def _pinged(self) -> Any:
        """Wait for the answer to a ping, and return it.

        The limit is a number of short waits. If the parent was stopped as well, one of them is over
        at once when all go on, and the worker has the others.

        Raises:
            PeerLost: The worker has ended.
            TimeoutError: There is none.
        """
        ping = asyncio.create_task(self.peer.call("ping"))
        try:
            for _ in range(_MISSED_PINGS):
                await asyncio.wait([ping], timeout=_PING_SECONDS)
                if ping.done():
                    return ping.result()
        finally:
            ping.cancel()
        raise TimeoutError

    def kill(self) -> None:
        """End it at once."""
        if self.process.returncode is None:
            self.process.kill()
