"""What `ServedModel` and the pages on the state need of what serves one version of a model.

That is a version pool of this process, a staged pool, whose stages start and end with the version,
or the version on all workers of a server, as their parent follows it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from cloche.serving.queue.prediction_request import PredictionRequest
from cloche.serving.registry.resolved_version import ResolvedVersion


class Successor(Protocol):
    """What takes over requests from a version pool that is closed."""

    def adopt(self, requests: Sequence[PredictionRequest]) -> None:
        """Take over requests that waited for another version pool."""


class ServedPool(Protocol):
    """All replicas of a version, and of the stages before it, which start and end together."""

    @property
    def model(self) -> str:
        """The name under which the model is served."""

    @property
    def version(self) -> str:
        """The version."""

    @property
    def description(self) -> dict[str, Any]:
        """The hosts' description of the version."""

    @property
    def ready(self) -> bool:
        """Whether at least one replica is warm."""

    @property
    def queued(self) -> int:
        """The number of requests that wait for a replica."""

    @property
    def replicas(self) -> int:
        """The number of hosts that are loaded and warm."""

    @property
    def retry(self) -> bool:
        """Whether a request whose host was lost may be given to another host, in each stage."""

    def follow_retries(self, resolved: ResolvedVersion) -> None:
        """Set which versions may be asked again, as the registry has it now."""

    async def start(self, *, another_serves: bool = True) -> None:
        """Load every replica, unless it is loaded beside another version, and take over from that.

        Args:
            another_serves: Whether another version serves meanwhile.

        Raises:
            HostFailed: A replica cannot load the version; the others are ended.
        """

    async def start_beside(self) -> None:
        """Load every replica, and leave the requests to the version that serves.

        Raises:
            HostFailed: A replica cannot load the version; the others are ended.
        """

    async def complete(self) -> None:
        """Wait until every replica has loaded its model as well, and not the twin alone.

        Raises:
            HostFailed: A replica cannot load the model.
        """

    def adopt(self, requests: Sequence[PredictionRequest]) -> None:
        """Take over requests that waited for another version pool."""

    def release(self) -> list[PredictionRequest]:
        """Remove and return all requests that still wait."""

    def stop_waiting(self) -> None:
        """Make `close` end at once, because no client waits for answers any more."""

    async def close(self, find_successor: Callable[[], "ServedPool | None"], /) -> None:
        """Finish running batches, and end the hosts.

        Args:
            find_successor: Returns what serves by then. It takes over requests that are left.
        """


class RequestTaker(Protocol):
    """What takes requests: a version pool, or what sees a request before one does."""

    def submit(self, request: PredictionRequest) -> bool:
        """Queue a request; False when the queue is full."""


class RequestPool(ServedPool, RequestTaker, Protocol):
    """A version pool of this process, which takes requests."""

    @property
    def idle(self) -> bool:
        """Whether a replica waits for a request."""

    @property
    def losses(self) -> int:
        """The number of hosts that were lost."""

    def has_room(self, request: PredictionRequest) -> bool:
        """Whether `submit` would queue a request now."""


class Arms(Protocol):
    """What takes the requests of a model while it has a canary or a shadow beside its version."""

    def find(self, reference: str) -> RequestPool | None:
        """Return the version pool of an arm, by its version or by its alias after an `@`."""

    def submit(
        self, request: PredictionRequest, pool: RequestTaker, *,
        headers: Iterable[tuple[bytes, bytes]], request_id: bytes, by_name: bool,
    ) -> bool:  # fmt: skip
        """Queue a request for one of the arms; False when the queue is full.

        Args:
            request: The request.
            pool: The version pool that it names, or else that of production.
            headers: The headers of the request.
            request_id: The ID of the request.
            by_name: Whether the request names its version.
        """
