"""A discrete-event simulation of a registry and the servers that poll it with the real poll policy.

The registry answers one request after the other, also those whose server has given up: a timeout
does not withdraw a request.
"""

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

from cloche.serving.dispatch.poll_policy import PollPace

_PATIENCE = 10.0  # seconds until a server gives up a poll


@dataclass(frozen=True, slots=True)
class Fixed:
    """A constant pause between two polls, for comparison with `PollPace`."""

    def after(self, seconds: float) -> "Fixed":  # noqa: ARG002
        """Return the same policy."""
        return self

    def pause(self, interval: float, jitter: float) -> float:  # noqa: ARG002
        """Return the interval."""
        return interval


Pacing = Fixed | PollPace


@dataclass(frozen=True, slots=True)
class Outage:
    """A time, in seconds, in which the registry is down: polls fail at once, its queue is lost."""

    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class Case:
    """The parameters of a simulation, in which all servers start at the same time.

    Attributes:
        servers: The number of servers, with one model each.
        interval: The `--poll-interval` of each server.
        pacing: The policy for the pause between polls.
        lookup: The seconds that the registry needs for one response.
        seconds: The duration of the simulation in seconds.
        outage: The outage of the registry; None without one.
    """

    servers: int
    interval: float = 2.0
    pacing: Pacing = field(default_factory=PollPace)
    lookup: float = 0.0072
    seconds: float = 600.0
    outage: Outage | None = None


@dataclass(slots=True)
class Found:
    """The result of a simulation.

    Attributes:
        asked: The number of polls, which is the sum of the next four numbers.
        answered: The polls that were answered in time.
        late: The polls that were answered after their server had given up.
        refused: The polls that failed or were lost in the outage.
        waiting: The polls that were still in the registry's queue at the end.
        busy: The seconds in which the registry worked.
        gaps: The longest time without a response in the second half, for each server, in seconds.
        back: The seconds from the end of the outage until each server had a response.
    """

    asked: int = 0
    answered: int = 0
    late: int = 0
    refused: int = 0
    waiting: int = 0
    busy: float = 0.0
    gaps: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)


class _Look:
    def __init__(self, server: int, begun: float) -> None:
        self.server = server
        self.begun = begun
        self.open = True


def simulate(case: Case, seed: int = 0) -> Found:
    """Run a simulation; the same seed gives the same result."""
    return _Simulation(case, seed).run()


class _Simulation:
    def __init__(self, case: Case, seed: int) -> None:
        self.case = case
        self.found = Found(gaps=[0.0] * case.servers)
        self._random = random.Random(seed)  # noqa: S311  # no secret
        self._pacing: list[Pacing] = [case.pacing] * case.servers
        self._read = [0.0] * case.servers
        self._returned: set[int] = set()
        self._queue: deque[_Look] = deque()
        self._working: _Look | None = None
        self._events: list[tuple[float, int, str, object]] = []
        self._count = 0

    def run(self) -> Found:
        for server in range(self.case.servers):
            self._at(0.0, "look", server)
        if self.case.outage:
            self._at(self.case.outage.begins, "away", None)
        while self._events and self._events[0][0] <= self.case.seconds:
            now, _, kind, what = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(now, what)
        for server in range(self.case.servers):
            self._note_gap(server, self.case.seconds)
        self.found.waiting = len(self._queue) + (self._working is not None)
        return self.found

    def _at(self, when: float, kind: str, what: object) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, kind, what))

    def _look(self, now: float, server: int) -> None:
        self.found.asked += 1
        look = _Look(server, now)
        outage = self.case.outage
        if outage and outage.begins <= now < outage.ends:
            self._fail(now, look)
            return
        self._at(now + _PATIENCE, "timeout", look)
        self._queue.append(look)
        self._work(now)

    def _work(self, now: float) -> None:
        if self._working is None and self._queue:
            self._working = self._queue.popleft()
            self._at(now + self.case.lookup, "done", self._working)

    def _done(self, now: float, look: _Look) -> None:
        if look is not self._working:
            return  # the request was lost in an outage
        self._working = None
        self.found.busy += self.case.lookup
        if look.open:
            look.open = False
            self.found.answered += 1
            self._note_gap(look.server, now)
            self._note_return(look.server, now)
            self._rest(now, look)
        else:
            self.found.late += 1
        self._work(now)

    def _timeout(self, now: float, look: _Look) -> None:
        if look.open:
            look.open = False
            self._rest(now, look)

    def _away(self, now: float, _: object) -> None:
        lost = [*self._queue, *([self._working] if self._working else [])]
        self._queue.clear()
        self._working = None
        for look in lost:
            if look.open:
                self._fail(now, look)
            else:
                self.found.refused += 1

    def _fail(self, now: float, look: _Look) -> None:
        look.open = False
        self.found.refused += 1
        self._rest(now, look)

    def _rest(self, now: float, look: _Look) -> None:
        pacing = self._pacing[look.server].after(now - look.begun)
        self._pacing[look.server] = pacing
        pause = pacing.pause(self.case.interval, self._random.random())
        self._at(now + pause, "look", look.server)

    def _note_gap(self, server: int, now: float) -> None:
        half = self.case.seconds / 2
        if now > half:
            gap = now - max(self._read[server], half)
            self.found.gaps[server] = max(self.found.gaps[server], gap)
        self._read[server] = now

    def _note_return(self, server: int, now: float) -> None:
        outage = self.case.outage
        if outage and now >= outage.ends and server not in self._returned:
            self._returned.add(server)
            self.found.back.append(now - outage.ends)
