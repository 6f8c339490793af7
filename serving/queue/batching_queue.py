"""The queue of one version pool, and the policy that forms batches from it.

Pure: no clock, no tasks, no web.

The policy is work-conserving: `next_batch` returns waiting requests at once, unless a wait for
further requests is configured; `worth_a_batch` says when to call it while more requests are being
read. Requests larger than a batch wait in a lane of their own, are scored alone, and take turns
with the batches of small requests, so neither lane can starve the other.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(slots=True, eq=False)
class Ticket:
    """The properties of a request that the batching policy uses.

    Attributes:
        rows: The estimated number of rows; the model host counts them exactly.
        size: The size of the body, in bytes.
        arrived: The time of arrival, in seconds of the caller's clock.
        alone: Whether the request must not share a batch, because it was in one whose host failed.
    """

    rows: int
    size: int
    arrived: float
    alone: bool = False


T = TypeVar("T", bound=Ticket)

_BATCHES_PER_WAVE = 3  # two, or batches of 20 requests, gained about the same


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The limits of what may wait at the same time; `size` is in bytes."""

    requests: int
    rows: int
    size: int


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of one batch, and the seconds that its first request may wait for others."""

    rows: int
    size: int
    wait: float = 0.0


class Queue(Generic[T]):
    """Tickets that wait for a replica."""

    def __init__(self, limits: QueueLimits, batches: BatchLimits) -> None:
        self._limits = limits
        self._batches = batches
        self._small: deque[T] = deque()
        self._large: deque[T] = deque()
        self._large_turn = False
        self._last = 0  # requests in the last batch
        self._last_two = 0
        self.rows = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._small) + len(self._large)

    @property
    def worth_a_batch(self) -> bool:
        """Whether enough requests wait to score them while others are still being read.

        Clients that send without a pause send in waves. The last two batches together held about
        one request of each of these clients; a third of that number is enough for a batch, which
        keeps a replica busy until the rest is read. A smaller batch would cost about as much.
        """
        return bool(self._large) or _BATCHES_PER_WAVE * len(self._small) >= self._last_two

    def offer(self, ticket: T) -> bool:
        """Add `ticket`; False when the queue is full."""
        if not self.has_room(ticket):
            return False
        self.append(ticket)
        return True

    def has_room(self, ticket: T) -> bool:
        """Whether the limits allow `ticket`. An empty queue has room for any."""
        waiting = len(self)
        return not waiting or (
            waiting < self._limits.requests
            and self.rows + ticket.rows <= self._limits.rows
            and self.size + ticket.size <= self._limits.size
        )

    def append(self, ticket: T) -> None:
        """Add `ticket`, whatever the limits."""
        self._lane(ticket).append(ticket)
        self._count(ticket, 1)

    def put_back(self, tickets: Iterable[T]) -> None:
        """Return tickets that were not scored to the head of the queue, whatever the limits."""
        for ticket in reversed(list(tickets)):
            self._lane(ticket).appendleft(ticket)
            self._count(ticket, 1)

    def next_batch(self, now: float) -> list[T]:
        """The tickets to score now.

        Empty when none wait, or when the first may still wait for others.
        """
        if self._large and (self._large_turn or not self._small):
            self._large_turn = False
            ticket = self._large.popleft()
            self._count(ticket, -1)
            return [ticket]
        if not self._small or self.wait_until(now) is not None:
            return []
        self._large_turn = True
        first = self._small.popleft()
        batch, rows, size = [first], first.rows, first.size
        while self._small and not first.alone and not (ticket := self._small[0]).alone:
            if rows + ticket.rows > self._batches.rows or size + ticket.size > self._batches.size:
                break
            batch.append(self._small.popleft())
            rows += ticket.rows
            size += ticket.size
        self.rows -= rows
        self.size -= size
        self._last, self._last_two = len(batch), self._last + len(batch)
        return batch

    def wait_until(self, now: float) -> float | None:
        """The time of the next batch, while the small lane waits for further requests.

        None when there is nothing to wait for.
        """
        if not self._batches.wait or not self._small or self._large:
            return None
        ready = self._small[0].arrived + self._batches.wait
        full = self.rows >= self._batches.rows or self.size >= self._batches.size
        return None if full or self._small[0].alone or now >= ready else ready

    def remove(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Remove and return every ticket that is `unwanted`."""
        removed = [
            ticket for lane in (self._small, self._large) for ticket in lane if unwanted(ticket)
        ]
        if removed:
            gone = set(map(id, removed))
            self._small = deque(ticket for ticket in self._small if id(ticket) not in gone)
            self._large = deque(ticket for ticket in self._large if id(ticket) not in gone)
            for ticket in removed:
                self._count(ticket, -1)
        return removed

    def _lane(self, ticket: T) -> deque[T]:
        big = ticket.rows > self._batches.rows or ticket.size > self._batches.size
        return self._large if big else self._small

    def _count(self, ticket: T, sign: int) -> None:
        self.rows += sign * ticket.rows
        self.size += sign * ticket.size
