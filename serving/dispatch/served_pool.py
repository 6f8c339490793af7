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
        """Load every replica; `another_serves` says whether another version serves meanwhile.

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


class RequestPool(ServedPool, Protocol):
    """A version pool of this process, which takes requests."""

    def submit(self, request: PredictionRequest) -> bool:
        """Queue a request; False when the queue is full."""


class Arms(Protocol):
    """What takes the requests of a model while it has a canary beside its version.

    Attributes:
        percent: The share of the callers whose requests the canary answers.
    """

    percent: float

    @property
    def pool(self) -> RequestPool:
        """The version pool of the canary."""

    def end(self) -> None:
        """Let nothing that is still being answered abort the canary: it has ended."""

    def submit(
        self, request: PredictionRequest, pool: RequestPool, *,
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
