"""The queue of one generation and the policy that forms batches from it.

Pure: no clock, no tasks, no web.

Work-conserving: whoever asks for a batch gets one at once, unless a wait for company was
configured; `worth_a_batch` says when to ask while more is being read. Requests that are larger than
a batch wait in a lane of their own, are scored alone, and take turns with the batches of the small
ones, so neither can starve the other.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(slots=True, eq=False)
class Ticket:
    """What the policy knows of a request.

    Attributes:
        rows: About how many rows it holds; the host counts them exactly.
        size: Bytes of its body.
        arrived: When it arrived, in seconds of the caller's clock.
        alone: It shared a batch with a host that failed, and must not share another.
    """

    rows: int
    size: int
    arrived: float
    alone: bool = False


T = TypeVar("T", bound=Ticket)

_SHARE = 3  # of the clients; with a half or with 20 requests the gain was about the same


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may wait at once."""

    requests: int
    rows: int
    size: int


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What may be scored at once, and for how many seconds the first may wait for company."""

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
        """Whether enough wait to start with them while the other requests are read.

        Clients that ask without a pause send in waves, and the last two batches held about as many
        requests as there are such clients. A third of them keeps a replica busy until the rest is
        read; with only the first of a wave it does for one request what it can do for many.
        """
        return bool(self._large) or _SHARE * len(self._small) >= self._last_two

    def offer(self, ticket: T) -> bool:
        """Take `ticket` in; False when the queue is full. A lone ticket always fits."""
        waiting = len(self)
        if waiting and (
            waiting >= self._limits.requests
            or self.rows + ticket.rows > self._limits.rows
            or self.size + ticket.size > self._limits.size
        ):
            return False
        self._lane(ticket).append(ticket)
        self._count(ticket, 1)
        return True

    def put_back(self, tickets: Iterable[T]) -> None:
        """Return tickets that were taken and not scored to where they were, whatever the limits."""
        for ticket in reversed(list(tickets)):
            self._lane(ticket).appendleft(ticket)
            self._count(ticket, 1)

    def next_batch(self, now: float) -> list[T]:
        """The tickets to score now.

        Empty when none wait, or the first may still wait for company.
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
        """When to ask again, while the small lane waits for company.

        None when there is nothing to wait for.
        """
        if not self._batches.wait or not self._small or self._large:
            return None
        ready = self._small[0].arrived + self._batches.wait
        full = self.rows >= self._batches.rows or self.size >= self._batches.size
        return None if full or self._small[0].alone or now >= ready else ready

    def remove(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Take out every ticket that is `unwanted`."""
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
