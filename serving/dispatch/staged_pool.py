"""The version pools of a model and of the stages before it, which serve as one model.

A request goes through the pools in order. The first stage reads it, each stage passes a table on,
and the model, whose pool is the last, writes the answer. Versions of a stage and its model take
over together: there is one staged pool for each combination, and `ServedModel` loads, switches and
drains it as a whole.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cloche.registry.stage_fit import first_misfit
from cloche.registry.stage_names import title
from cloche.serving.dispatch.served_pool import ServedPool
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.errors import HostFailed
from cloche.serving.processes.frames import TABLE_BODY, Answer, Item
from cloche.serving.queue.prediction_request import (
    PredictionRequest,
    RequestEnded,
    StageProgress,
    StageVisit,
)
from cloche.serving.registry.resolved_version import ResolvedVersion

_JSON = "application/json"
_OK = 200


class StagedPool:
    """The version pools through which each request goes, in order."""

    def __init__(self, pools: Sequence[VersionPool], example_seconds: float) -> None:
        """Store the pools.

        Args:
            pools: The version pools of the stages, and last that of the model.
            example_seconds: The time limit for the first stage's input example.
        """
        self._pools = list(pools)
        self._last = pools[-1]
        self._example_seconds = example_seconds
        self._stages = [f"{pool.model}/{pool.version}" for pool in self._pools[:-1]]
        self._names = ",".join(self._stages)

    @property
    def model(self) -> str:
        """The name under which the model is served."""
        return self._last.model

    @property
    def version(self) -> str:
        """The version of the model."""
        return self._last.version

    @property
    def retry(self) -> bool:
        """Whether a request whose host was lost may be given to another host, in each stage."""
        return all(pool.retry for pool in self._pools)

    def follow_retries(self, resolved: ResolvedVersion) -> None:
        """Set which stages, and whether the model, may be asked again."""
        for pool, version in zip(self._pools, resolved.with_stages, strict=True):
            pool.follow_retries(version)

    @property
    def description(self) -> dict[str, Any]:
        """The description of the model, with the inputs of the first stage."""
        first, last = self._pools[0].description, self._last.description
        signature = dict(last["signature"] or {})
        signature["inputs"] = (first["signature"] or {}).get("inputs")
        return last | {
            "stages": self._stages,
            "signature": signature,
            **{key: first[key] for key in ("type_hints", "example", "usual")},
        }

    @property
    def ready(self) -> bool:
        """Whether each version pool has a warm replica."""
        return all(pool.ready for pool in self._pools)

    @property
    def queued(self) -> int:
        """The number of requests that wait for a replica of any version pool."""
        return sum(pool.queued for pool in self._pools)

    @property
    def idle(self) -> bool:
        """Whether a replica of each version pool waits for a request."""
        return all(pool.idle for pool in self._pools)

    @property
    def losses(self) -> int:
        """The number of hosts of all version pools that were lost."""
        return sum(pool.losses for pool in self._pools)

    @property
    def replicas(self) -> int:
        """The number of hosts of all version pools that are loaded and warm."""
        return sum(pool.replicas for pool in self._pools)

    @property
    def seconds_to_drain(self) -> float:
        """An estimate of the seconds until all requests that wait now are scored."""
        return sum(pool.seconds_to_drain for pool in self._pools)

    async def start(self, *, another_serves: bool = True) -> None:
        """Load every replica of every version pool, and score the first stage's input example.

        Nothing is done if all are loaded.

        Raises:
            HostFailed: A version cannot be loaded, they do not fit each other, or they cannot score
                the example.
        """
        if self._last.description:
            return
        starts = [
            asyncio.create_task(self._start(pool, another_serves=another_serves))
            for pool in self._pools
        ]
        try:
            await asyncio.gather(*starts)
            self._check_fit()
            await self._score_example()
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await asyncio.gather(*(pool.close(lambda: None) for pool in self._pools))
            raise

    async def start_beside(self) -> None:
        """Load every replica, and score the example, while another version serves.

        Raises:
            HostFailed: As `start` does.
        """
        await self.start()

    async def _start(self, pool: VersionPool, *, another_serves: bool) -> None:
        """Load every replica of a version; an error of a stage names it."""
        try:
            await pool.start(another_serves=another_serves)
        except HostFailed as error:
            if pool is self._last:
                raise
            raise HostFailed(f"The stage {pool.model} {pool.version}: {error}") from error

    async def complete(self) -> None:
        """Wait until every replica has loaded its model, and not the twin alone.

        Raises:
            HostFailed: A replica cannot load the model.
        """
        for pool in self._pools:
            await pool.complete()

    def has_room(self, request: PredictionRequest) -> bool:
        """Whether `submit` would queue a request now."""
        return all(pool.has_room(request) for pool in self._pools)

    def submit(self, request: PredictionRequest) -> bool:
        """Queue a request; False when the queue of any version pool is full."""
        if not all(pool.has_room(request) for pool in self._pools[1:]):
            return False
        return self._pools[0].submit(self._staged(request, 0, request.item))

    def adopt(self, requests: Sequence[PredictionRequest]) -> None:
        """Take over requests that waited for another version."""
        self._pools[0].adopt([self._staged(one, 0, one.item) for one in requests])

    def pause(self) -> None:
        """Keep requests queued until `resume`."""
        self._pools[0].pause()

    def resume(self) -> None:
        """Give the requests that waited since `pause` to the replicas."""
        self._pools[0].resume()

    def release(self) -> list[PredictionRequest]:
        """Remove and return all requests that wait, to begin anew with the first stage."""
        return [request for pool in self._pools for request in _originals(pool.release())]

    def stop_waiting(self) -> None:
        """Make `close` end at once, because no client waits for answers any more."""
        for pool in self._pools:
            pool.stop_waiting()

    async def close(self, find_successor: Callable[[], ServedPool | None]) -> None:
        """Finish running batches, pool by pool, and end the hosts.

        Args:
            find_successor: Returns the pool that serves by then. It takes over requests that are
                left, from their first stage on.
        """
        for pool in self._pools:
            await pool.close(lambda: _successor(find_successor()))

    def _staged(self, request: PredictionRequest, place: int, item: Item) -> PredictionRequest:
        """Create the request to the pool at `place`, and note on the client's that it is there."""
        if request.stages is None or not place:
            request.stages = StageProgress(self._names, request.attempts)
        # what earlier stages took is no wait for this one
        arrived = asyncio.get_running_loop().time() if place else request.arrived
        pool = self._pools[place]
        is_stage = pool is not self._last
        visit = StageVisit(*((pool.model, pool.version) if is_stage else ("", "")), arrived)
        request.stages.visits.append(visit)
        return _StageRequest(
            rows=request.rows, size=max(request.size, len(item.table)), arrived=arrived,
            deadline=request.deadline, item=item._replace(as_table=is_stage),
            receiver=_StageReceiver(self, request, place), client_left=request.unwanted,
            attempts=request.stages.attempts, visit=visit,
        )  # fmt: skip

    def receive(self, request: PredictionRequest, place: int, answer: Answer) -> None:
        """Give the table of the pool at `place` to the next pool, or its answer to the client."""
        if answer.body_type == TABLE_BODY and answer.status == _OK:
            following = place + 1
            item = request.item._replace(table=answer.body)
            self._pools[following].forward(self._staged(request, following, item))
        else:
            request.answer(answer, self.version)

    def _check_fit(self) -> None:
        """Compare the signatures.

        Raises:
            HostFailed: A stage does not answer what the next one takes.
        """
        chain = [
            (title(pool.model, pool.version), pool.description["signature"]) for pool in self._pools
        ]
        if reason := first_misfit(chain):
            raise HostFailed(f"{reason} Promote versions that fit.")

    async def _score_example(self) -> None:
        """Score the first stage's input example, if it has one.

        Raises:
            HostFailed: The stages cannot score it.
        """
        example = self._pools[0].description["example"]
        if example is None:
            return
        loop = asyncio.get_running_loop()
        receiver: asyncio.Future[Answer] = loop.create_future()
        body = example.encode()
        now = loop.time()
        request = PredictionRequest(
            rows=1, size=len(body), arrived=now, deadline=now + self._example_seconds,
            item=Item(_JSON, body, "input example"), receiver=receiver, client_left=lambda: False,
        )  # fmt: skip
        self._pools[0].forward(self._staged(request, 0, request.item))
        try:
            async with asyncio.timeout(self._example_seconds):
                answer = await receiver
        except (TimeoutError, RequestEnded) as error:
            raise HostFailed("The stages did not score the first one's input example.") from error
        if answer.status != _OK:
            said = json.loads(answer.body).get("message", "")
            raise HostFailed(f"The stages cannot score the first one's input example: {said}")


@dataclass(slots=True, eq=False, kw_only=True)
class _StageRequest(PredictionRequest):
    """The request to one pool, which notes on the client's request when a host received it.

    Attributes:
        visit: Its entry in the progress of the client's request.
    """

    visit: StageVisit

    def note_sent(self, now: float) -> None:
        """Note that a host receives the request now."""
        PredictionRequest.note_sent(self, now)  # no `super()`: slots make another class of this one
        self.visit.sent_at = now
        if isinstance(self.receiver, _StageReceiver):
            client = self.receiver.request
            client.attempts, client.sent_at = max(client.attempts, self.attempts), now


class _StageReceiver:
    """Receives what the pool at one place answers to one request."""

    __slots__ = ("_place", "_pool", "request")

    def __init__(self, pool: StagedPool, request: PredictionRequest, place: int) -> None:
        self._pool = pool
        self.request = request
        self._place = place

    def done(self) -> bool:
        """Whether the request has ended."""
        return self.request.receiver.done()

    def set_result(self, answer: Answer) -> None:
        """Go on with the answer."""
        self._pool.receive(self.request, self._place, answer)

    def set_exception(self, ended: RequestEnded) -> None:
        """End the request without an answer."""
        self.request.end(ended.reason)


def _originals(requests: Sequence[PredictionRequest]) -> list[PredictionRequest]:
    """Return the clients' requests to which some requests to a pool belong, as they came."""
    found = [one.receiver.request for one in requests if isinstance(one.receiver, _StageReceiver)]
    for request in found:
        if request.stages is not None:
            request.attempts = request.stages.attempts
        request.stages = None
    return found


class _StageSuccessor:
    """The `Successor` of one of these version pools: gives clients' requests to what serves now."""

    def __init__(self, pool: ServedPool) -> None:
        self._pool = pool

    def adopt(self, requests: Sequence[PredictionRequest]) -> None:
        """Take over requests that waited for the closed pool, from their first stage on."""
        self._pool.adopt(_originals(requests))


def _successor(pool: ServedPool | None) -> _StageSuccessor | None:
    return None if pool is None else _StageSuccessor(pool)
