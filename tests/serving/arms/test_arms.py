"""What becomes of the requests of a model with a canary, with pools that answer as a test says."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from cloche.rollout.assignment import takes_canary
from cloche.rollout.plan import Plan
from cloche.serving.arms.arm_counts import ArmCounts
from cloche.serving.arms.arms import Arms
from cloche.serving.arms.routing_key import caller_of, may_return, routing_key
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.frames import MODEL_FAILED, NOT_FINITE, Answer, Item
from cloche.serving.queue.prediction_request import (
    CUT_OFF,
    HOST_LOST,
    NOT_REPEATED,
    STOPPED,
    PredictionRequest,
    RequestEnded,
)
from tests.in_a_loop import in_a_loop

OK, REFUSAL = Answer(200, 0, 1, b"fine"), Answer(400, 0, 0, b"refused")
FAILURES = {
    "error": Answer(500, 0, 0, b"an error"),
    "error of the model": REFUSAL._replace(body_type=MODEL_FAILED),
    "not finite": OK._replace(body_type=NOT_FINITE),
}


class FakePool:
    """Keeps the requests that it gets."""

    ready = retry = room = True

    def __init__(self, version: str) -> None:
        self.version = version
        self.requests: list[PredictionRequest] = []

    def submit(self, request: PredictionRequest) -> bool:
        if self.room:
            self.requests.append(request)
        return self.room

    def adopt(self, requests: Sequence[PredictionRequest]) -> None:
        self.requests += requests

    def answer(self, answer: Answer) -> None:
        """Have a host answer the oldest request."""
        request = self.requests.pop(0)
        request.attempts += 1
        request.answer(answer, self.version)

    def lose(self, reason: str, *, sent: bool = True) -> None:
        """End the oldest request without an answer."""
        request = self.requests.pop(0)
        request.attempts += sent
        request.end(reason)


class Both:
    """Version 1 in production, and version 2 as its canary."""

    def __init__(self, percent: float = 100) -> None:
        self.production, self.canary = FakePool("1"), FakePool("2")
        self.metrics, self.aborts = Metrics(), list[str]()
        self.arms = Arms(
            "m", cast("Any", self.canary), percent, ArmCounts(Plan()), self.metrics,
            production=lambda: cast("Any", self.production), abort=self.abort,
        )  # fmt: skip

    def abort(self, reason: str) -> None:
        self.aborts.append(reason)
        self.arms.end()

    def ask(self, key: str = "one", *, by_name: bool = False, seconds: float = 60.0) -> Any:
        """Send a request; return it and the future of its answer."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Answer] = loop.create_future()
        request = PredictionRequest(
            rows=1, size=1, arrived=loop.time(), deadline=loop.time() + seconds,
            item=Item("", b""), receiver=outcome, client_left=lambda: False,
        )  # fmt: skip
        queued = self.arms.submit(
            request, cast("Any", self.production),
            headers=[(b"x-routing-key", key.encode())], request_id=b"id", by_name=by_name,
        )  # fmt: skip
        assert queued
        return request, outcome

    def counts(self, name: str) -> dict[tuple[str, ...], int]:
        """The counts of a metric by its labels but the model."""
        return dict(getattr(self.metrics, name).with_first_label("m"))


@in_a_loop
async def test_the_answer_of_the_canary_names_its_arm_and_version() -> None:
    both = Both()
    request, outcome = both.ask()
    both.canary.answer(OK)
    assert await outcome == OK
    assert (request.version, request.arm) == ("2", b"canary")
    assert both.counts("arm_requests") == {("2", "canary"): 1}


@pytest.mark.parametrize("reason", FAILURES)
@in_a_loop
async def test_production_answers_what_the_canary_fails(reason: str) -> None:
    both = Both()
    request, outcome = both.ask()
    assert both.canary.requests[0].item.mark_failures
    both.canary.answer(FAILURES[reason])
    assert not both.production.requests[0].item.mark_failures  # nobody would take the marks off
    both.production.answer(OK)
    assert await outcome == OK
    assert (request.version, request.arm) == ("1", b"production")
    counted = {("2", "canary", reason.removesuffix(" of the model")): 1}
    assert both.counts("arm_failures") == counted


@pytest.mark.parametrize("reason", [HOST_LOST, CUT_OFF])
@in_a_loop
async def test_production_answers_what_the_canary_does_not(reason: str) -> None:
    both = Both()
    _, outcome = both.ask()
    both.canary.lose(reason)
    both.production.answer(OK)
    assert await outcome == OK
    assert sum(both.counts("arm_failures").values()) == 1


@in_a_loop
async def test_half_of_the_time_is_left_for_production() -> None:
    both = Both()
    request, outcome = both.ask(seconds=0.2)
    attempt = both.canary.requests[0]
    assert attempt.deadline - request.arrived == pytest.approx(0.1, abs=0.01)
    while not both.production.requests:  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0.001)
    assert attempt.unwanted()
    both.production.answer(OK)
    assert await outcome == OK
    both.canary.answer(OK)  # too late, and nobody waits for it
    assert both.counts("arm_failures") == {("2", "canary", "timeout"): 1}


@in_a_loop
async def test_only_what_the_canary_alone_refuses_counts_against_it() -> None:
    both = Both()
    for answer in (REFUSAL, OK):
        _, outcome = both.ask()
        both.canary.answer(REFUSAL)
        assert not both.counts("arm_failures")
        both.production.answer(answer)
        assert await outcome == answer
    assert both.counts("arm_failures") == {("2", "canary", "refused"): 1}


@in_a_loop
async def test_a_full_queue_of_the_canary_is_no_failure() -> None:
    both = Both()
    both.canary.room = False
    _, outcome = both.ask()
    both.production.answer(OK)
    assert await outcome == OK
    assert not both.counts("arm_failures")
    assert both.counts("canary_fallbacks") == {("2", "queue full"): 1}


@in_a_loop
async def test_a_version_that_forbids_it_is_asked_once() -> None:
    both = Both()
    both.canary.retry = False
    _, outcome = both.ask()
    both.canary.lose(NOT_REPEATED)
    with pytest.raises(RequestEnded, match=NOT_REPEATED):
        await outcome
    _, outcome = both.ask()
    both.canary.lose(STOPPED, sent=False)
    both.production.answer(OK)
    assert await outcome == OK


@in_a_loop
async def test_requests_that_name_a_version_are_not_counted() -> None:
    both = Both()
    _, outcome = both.ask(by_name=True)
    both.production.answer(OK)
    assert await outcome == OK
    assert not both.counts("arm_requests")


@in_a_loop
async def test_both_arms_are_counted_with_their_callers_and_their_time() -> None:
    both = Both(percent=50)
    both.arms.counts.server, both.arms.counts.servers = "own", ["own"]
    keys = [str(number % 40) for number in range(80)]
    for key in keys:
        both.ask(key)
    asked = {"canary": len(both.canary.requests), "production": len(both.production.requests)}
    both.canary.room = False  # as of a full queue, after which production answers
    full = next(key for key in keys if takes_canary("m", "2", key.encode(), 50))
    both.ask(full)
    both.production.requests.pop()
    for pool in (both.canary, both.production):
        for _ in range(len(pool.requests)):
            pool.answer(OK)
    total = both.arms.counts.total
    assert total.of(50, "canary", "requests") == asked["canary"] + 1
    assert total.of(50, "production", "requests") == asked["production"]
    assert [total.of(50, arm, "callers") for arm in asked] == [one // 2 for one in asked.values()]
    untimed = sum(total.of(50, arm, "untimed") for arm in asked)
    assert untimed == 81  # 1,000 of production tell first what is slow


@in_a_loop
async def test_failures_of_many_callers_abort_a_canary_once_and_those_of_one_do_not() -> None:
    both = Both(percent=50)
    keys = list(map(str, range(1000)))
    one = next(key for key in keys if takes_canary("m", "2", key.encode(), 50))
    for key in [one] * 50 + keys:
        both.ask(key)
    mine, others = both.canary.requests[:], both.production.requests[:]
    both.production.requests.clear()
    for request in others:
        request.answer(OK, "1")
    for request in mine[:50]:
        request.answer(FAILURES["error"], "2")
    assert not both.aborts
    for request in mine[50:]:
        request.answer(FAILURES["error"], "2")
    assert len(both.aborts) == 1
    assert "the canary failed" in both.aborts[0]


@in_a_loop
async def test_what_a_canary_fails_after_its_end_does_not_abort_it() -> None:
    both = Both(percent=50)
    for key in map(str, range(100)):
        both.ask(key)
    both.arms.end()
    for request in both.canary.requests:
        request.answer(FAILURES["error"], "2")
    assert not both.aborts


@in_a_loop
async def test_a_lost_batch_is_one_failure() -> None:
    both = Both(percent=50)
    for key in map(str, range(1000)):
        both.ask(key)
    for request in both.canary.requests:
        request.attempts += 1
        request.end(HOST_LOST)
    assert not both.aborts


def test_a_caller_is_known_by_its_routing_key_then_its_api_key_then_by_its_request() -> None:
    known = [(b"x-routing-key", b"kim"), (b"authorization", b"Bearer secret")]
    assert routing_key(known, b"7") == b"kim"
    assert routing_key(reversed(known), b"7") == b"kim"
    assert routing_key(known[1:], b"7") == b"Bearer secret"
    assert routing_key([], b"7") == b"7"


def test_a_caller_without_a_key_comes_once_whatever_its_request_is_called() -> None:
    request_id = b"kim"
    by_key, by_request = (
        caller_of(routing_key(headers, request_id), request_id)
        for headers in ([(b"x-routing-key", bytes([*b"kim"]))], [])
    )
    assert by_key != by_request
    assert (may_return(by_key), may_return(by_request)) == (True, False)
