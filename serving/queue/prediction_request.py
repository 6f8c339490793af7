"""One prediction request inside the front: its body, its deadline, and who receives its answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from cloche.serving.processes.frames import Answer, Item
from cloche.serving.queue.batching_queue import Ticket


class RequestEnded(Exception):
    """The end of a request without a host's answer; `reason` is one of the constants below."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AnswerReceiver(Protocol):
    """Receives the answer to a request: an asyncio future, or an object that needs no task."""

    def done(self) -> bool:
        """Whether the request has ended."""

    def set_result(self, answer: Answer, /) -> None:
        """End the request with the answer of a host."""

    def set_exception(self, ended: RequestEnded, /) -> None:
        """End the request without an answer of a host."""


EXPIRED = "expired"
CUT_OFF = "cut off"  # the model exceeded its time limit
CLIENT_LEFT = "client left"
HOST_LOST = "host lost"
NOT_REPEATED = "not repeated"  # its host was lost, and the version forbids a second attempt
STOPPED = "stopped"


@dataclass(slots=True)
class StageVisit:
    """The stay of a request in the pool of a stage, or of the model after the stages.

    Attributes:
        name: The name of the stage; empty for the model.
        version: The version of the stage; empty for the model.
        arrived: The time at which the request came, on the loop's clock.
        sent_at: The time at which a host last received it, on the loop's clock; 0 if none did.
    """

    name: str
    version: str
    arrived: float
    sent_at: float = 0.0


@dataclass(slots=True)
class StageProgress:
    """How far a request is on its way through stages.

    Attributes:
        names: Name and version of each stage before the model, separated by commas.
        attempts: The attempts of the request before the first stage.
        visits: Where the request was, and last where it is.
    """

    names: str
    attempts: int
    visits: list[StageVisit] = field(default_factory=list)

    @property
    def current(self) -> str:
        """The stage that has the request, as `stage NAME VERSION`; empty for the model."""
        visit = self.visits[-1]
        return f"stage {visit.name} {visit.version}".rstrip() if visit.name else ""


@dataclass(slots=True, eq=False, kw_only=True)
class PredictionRequest(Ticket):
    """A ticket with its body, and the receiver of its answer.

    Attributes:
        item: The data that the model host receives.
        deadline: The time at which the request expires, on the loop's clock.
        receiver: The receiver of the answer, or of the reason for none.
        client_left: Returns whether the client closed its connection.
        attempts: The number of hosts that received the request; of several stages, the highest.
        sent_at: The time at which a host last received it, on the loop's clock.
        version: The version that answered; empty until one did.
        stages: How far the request is on its way through stages; None without stages.
        arm: The arm that answers while the model has a canary; empty without one.
    """

    item: Item
    deadline: float
    receiver: AnswerReceiver
    client_left: Callable[[], bool]
    attempts: int = 0
    sent_at: float = 0.0
    version: str = ""
    stages: StageProgress | None = None
    arm: bytes = b""

    def note_sent(self, now: float) -> None:
        """Note that a host receives the request now."""
        self.attempts += 1
        self.sent_at = now

    def answer(self, answer: Answer, version: str) -> None:
        """End the request with the answer of a host of `version`, unless it has ended."""
        if not self.receiver.done():
            self.version = version
            self.receiver.set_result(answer)

    def end(self, reason: str) -> None:
        """End the request without an answer, unless it has ended."""
        if not self.receiver.done():
            self.receiver.set_exception(RequestEnded(reason))

    def unwanted(self) -> bool:
        """Whether nobody waits for the answer any more; ends the request if its client left."""
        if self.receiver.done():
            return True
        if self.client_left():
            self.end(CLIENT_LEFT)
            return True
        return False
