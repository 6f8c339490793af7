"""Requests of a model that has a canary: attempts of the canary, and who receives the answers."""

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from cloche.serving.processes.frames import MODEL_FAILED, NOT_FINITE, Answer, Item
from cloche.serving.queue.prediction_request import (
    CLIENT_LEFT,
    CUT_OFF,
    EXPIRED,
    HOST_LOST,
    NOT_REPEATED,
    STOPPED,
    AnswerReceiver,
    PredictionRequest,
    RequestEnded,
)

if TYPE_CHECKING:
    from cloche.serving.arms.arms import Arms

PRODUCTION: Literal["production"] = "production"
CANARY: Literal["canary"] = "canary"
REFUSED, LOST = "refused", "host lost"
ENDINGS = {EXPIRED: "timeout", CUT_OFF: "timeout", HOST_LOST: LOST, NOT_REPEATED: LOST}


def failure(answer: Answer) -> str:
    """The reason why an answer is a failure of the version; empty if it is none."""
    if answer.status >= 500 or answer.body_type & MODEL_FAILED:
        return "error"
    if answer.status >= 400:
        return REFUSED
    return "not finite" if answer.body_type & NOT_FINITE else ""


def item_for_arm(item: Item, arm: str, *, before: int = 0, **changes: Any) -> Item:
    """The item of a request as an arm gets it, logged as that arm's.

    Args:
        item: The item of the client's request.
        arm: The arm.
        before: The attempts with which the arm's request begins.
        changes: Other fields of the item that differ.
    """
    note = None if item.log is None else item.log.for_arm(arm, before)
    return item._replace(log=note, **changes)


def _unmarked(answer: Answer) -> Answer:
    """The answer as the client gets it."""
    return answer._replace(body_type=answer.body_type & ~(NOT_FINITE | MODEL_FAILED))


class ProductionReceiver:
    """Receives the answer to a request of production, counts it, and passes it on."""

    __slots__ = ("_arms", "_key", "_receiver", "_started")

    def __init__(self, arms: "Arms", key: bytes, receiver: AnswerReceiver, started: float) -> None:
        self._arms = arms
        self._key = key
        self._receiver = receiver
        self._started = started

    def done(self) -> bool:
        """Whether the request has ended."""
        return self._receiver.done()

    def set_result(self, answer: Answer) -> None:
        """End the request with the answer of a host."""
        reason = failure(answer)
        if reason == REFUSED:  # nobody knows whether the canary would have refused it
            reason = ""
        self._arms.count(PRODUCTION, self._key, reason, self._started)
        self._receiver.set_result(_unmarked(answer))

    def set_exception(self, ended: RequestEnded) -> None:
        """End the request without an answer of a host."""
        if reason := ENDINGS.get(ended.reason):
            self._arms.count(PRODUCTION, self._key, reason, self._started)
        self._receiver.set_exception(ended)


class FallbackReceiver:
    """Receives production's answer to a request that the canary has failed or refused."""

    __slots__ = ("_attempt", "_receiver")

    def __init__(self, attempt: "CanaryAttempt", receiver: AnswerReceiver) -> None:
        self._attempt = attempt
        self._receiver = receiver

    def done(self) -> bool:
        """Whether the request has ended."""
        return self._receiver.done()

    def set_result(self, answer: Answer) -> None:
        """End the request, and count a refusal if the canary alone refuses the request."""
        self._attempt.settle(refused_alone=answer.status < 400)
        self._receiver.set_result(answer)

    def set_exception(self, ended: RequestEnded) -> None:
        """End the request without an answer of a host."""
        self._receiver.set_exception(ended)


class CanaryAttempt:
    """Receives what the canary makes of a request, and has production answer what it fails.

    The canary has half of the time that the request has left, so that production has as much as the
    canary had. Where production may not be asked again, the canary has all of it.
    """

    __slots__ = ("_arms", "_attempt", "_key", "_original", "_started", "_timer")

    def __init__(self, arms: "Arms", key: bytes, original: PredictionRequest) -> None:
        loop = asyncio.get_running_loop()
        self._arms = arms
        self._key = key
        self._original = original
        self._started = now = loop.time()
        left = original.deadline - now
        deadline = now + (left / 2 if arms.may_repeat else left)
        self._timer = loop.call_at(deadline, self._expire)
        self._attempt: PredictionRequest | None = PredictionRequest(
            rows=original.rows, size=original.size, arrived=original.arrived, deadline=deadline,
            item=item_for_arm(original.item, CANARY, before=1, mark_failures=True),
            receiver=self, client_left=original.client_left,
            attempts=1,  # so that the loss of its host ends it, and production is asked
        )  # fmt: skip

    @property
    def request(self) -> PredictionRequest:
        """The request to the canary."""
        assert self._attempt is not None  # noqa: S101  # it has not ended
        return self._attempt

    def done(self) -> bool:
        """Whether the attempt has ended, or nobody waits for it any more."""
        return self._attempt is None or self._original.receiver.done()

    def set_result(self, answer: Answer) -> None:
        """Answer by the canary, unless its answer is a failure."""
        attempt = self._end()
        if attempt.version != self._arms.version:  # production has taken it over
            self._original.answer(_unmarked(answer), attempt.version)
            return
        if (reason := failure(answer)) and self._arms.may_repeat:
            self._fall_back(reason)
            return
        original = self._original
        self._count(reason)
        original.arm, original.stages = CANARY.encode(), attempt.stages
        original.attempts, original.sent_at = attempt.attempts - 1, attempt.sent_at
        original.answer(_unmarked(answer), self._arms.version)

    def set_exception(self, ended: RequestEnded) -> None:
        """Have production answer, because the canary does not."""
        was_sent = self._end().attempts > 1
        if ended.reason == CLIENT_LEFT:
            self._original.end(CLIENT_LEFT)
        elif was_sent and not self._arms.may_repeat:
            self._count(ENDINGS.get(ended.reason, ""))
            self._original.end(ended.reason)
        else:
            self._fall_back("" if ended.reason == STOPPED else ENDINGS[ended.reason])

    def give_back(self) -> None:
        """Have production answer, because the canary is ended before it was asked."""
        if not self.done():
            self._end()
            self._fall_back("")

    def withdraw(self) -> None:
        """End the attempt, because the canary has no room for it."""
        self._end()

    def settle(self, *, refused_alone: bool) -> None:
        """Count the request as one that the canary refused, if production does not."""
        self._count(REFUSED if refused_alone else "")

    def _expire(self) -> None:
        if not self.done():
            self.set_exception(RequestEnded(EXPIRED))
        elif self._attempt is not None:
            self._end()

    def _end(self) -> PredictionRequest:
        attempt, self._attempt = self.request, None  # breaks a reference cycle
        self._timer.cancel()
        return attempt

    def _fall_back(self, reason: str) -> None:
        """Have production answer; an empty reason is no fault of the canary."""
        if reason == REFUSED:
            self._original.receiver = FallbackReceiver(self, self._original.receiver)
        elif reason:
            self._count(reason)
        self._arms.fall_back(self._original, reason or "ended")

    def _count(self, reason: str) -> None:
        self._arms.count(CANARY, self._key, reason, self._started)
