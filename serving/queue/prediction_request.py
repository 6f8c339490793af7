"""One prediction request inside the front: its body, its deadline, and its one ending."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cloche.serving.processes.frames import Answer, Item
from cloche.serving.queue.batching_queue import Ticket


class Ended(Exception):
    """A request ended without an answer of a host. `reason` is one of the constants below."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RequestOutcome(Protocol):
    """Where an ending is put: a future of asyncio, or whoever wants to be told without a task."""

    def done(self) -> bool:
        """Whether it ended."""

    def set_result(self, answer: Answer, /) -> None:
        """End with the answer of a host."""

    def set_exception(self, ended: Ended, /) -> None:
        """End without one."""


EXPIRED = "expired"
CUT_OFF = "cut off"  # the model took longer than it may
CLIENT_LEFT = "client left"
HOST_LOST = "host lost"
NOT_REPEATED = (
    "not repeated"  # its host was lost, and the version says that it must not be repeated
)
STOPPED = "stopped"


@dataclass(slots=True, eq=False, kw_only=True)
class PredictionRequest(Ticket):
    """A ticket with its body, and a place for its answer.

    Attributes:
        deadline: When it expires, on the loop's clock.
        client_left: Whether whoever sent it went away.
        attempts: How many hosts were given it.
        given: When a host was given it last, on the loop's clock.
        version: The version that answered.
    """

    item: Item
    deadline: float
    outcome: RequestOutcome
    client_left: Callable[[], bool]
    attempts: int = 0
    given: float = 0.0
    version: str = ""

    def answer(self, answer: Answer, version: str) -> None:
        """End it with what a host of `version` said, unless it ended before."""
        if not self.outcome.done():
            self.version = version
            self.outcome.set_result(answer)

    def end(self, reason: str) -> None:
        """End it without an answer, unless it ended before."""
        if not self.outcome.done():
            self.outcome.set_exception(Ended(reason))

    def unwanted(self) -> bool:
        """Whether nobody waits for it any more; ends it when its client left."""
        if self.outcome.done():
            return True
        if self.client_left():
            self.end(CLIENT_LEFT)
            return True
        return False
