"""The phases of a client's connection, and how long each may last. Pure: the time is told.

A connection says in which phase it is when somebody looks, and notes nothing in between, so a
request costs nothing for being watched. What a client sends changes a phase only if it brings a
request forward: an empty line between two requests does not.
"""

import enum
from dataclasses import dataclass
from typing import NamedTuple

_SLOWEST = 32 * 1024  # bytes per second that a client takes of an answer, beyond the first seconds
_GRACE_SECONDS = 10.0  # the deadlines of a request come first


class Phase(enum.Enum):
    """What a connection waits for."""

    HEAD = enum.auto()
    """The rest of a head, or the first head of a new connection."""

    ANSWER = enum.auto()
    """The body of a request, or the answer to it: `read_body` and the queue have deadlines."""

    REST = enum.auto()
    """The rest of a body whose request is answered already; it is thrown away."""

    IDLE = enum.auto()
    """The next request."""

    UNSENT = enum.auto()
    """That the client takes what was written."""


class PhaseSnapshot(NamedTuple):
    """What is seen of a connection.

    Attributes:
        phase: In which it is.
        request: How many requests have begun on it.
        unsent: Bytes that were written, and that the client has not taken.
    """

    phase: Phase
    request: int
    unsent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseLimits:
    """How long clients are waited for, in seconds.

    Attributes:
        client: For what a client should do at once.
        request: For an answer.
        idle: For the next request.
    """

    client: float
    request: float
    idle: float

    def limit(self, look: PhaseSnapshot) -> float:
        """How long a phase may last that was first seen like this."""
        if look.phase is Phase.IDLE:
            return self.idle
        if look.phase is Phase.ANSWER:
            return self.client + self.request + _GRACE_SECONDS
        if look.phase is Phase.UNSENT:
            return self.client + look.unsent / _SLOWEST
        return self.client


class PhaseClock:
    """How long one connection has been in its phase, as far as looks at it tell."""

    __slots__ = ("_end", "_phase")

    def __init__(self) -> None:
        self._phase: tuple[Phase, int] | None = None
        self._end = 0.0

    def is_over(self, look: PhaseSnapshot, now: float, patience: PhaseLimits) -> bool:
        """Whether the phase lasts longer than it may."""
        phase = (look.phase, look.request)
        if phase != self._phase:
            self._phase = phase
            self._end = now + patience.limit(look)
        return now > self._end
