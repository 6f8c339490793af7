"""Which requests are copied, when, and what is counted, with pools that answer as a test says."""

import asyncio
from typing import Any, cast

import pytest

from cloche.rollout.plan import Plan
from cloche.serving.arms.arm_counts import ArmCounts
from cloche.serving.arms.arms import Arms
from cloche.serving.arms.shadow_copies import ShadowCopies
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.frames import (
    DIFFERS,
    MODEL_FAILED,
    NOT_FINITE,
    Answer,
    Expected,
    Item,
)
from cloche.serving.queue.prediction_request import HOST_LOST, STOPPED, PredictionRequest
from tests.in_a_loop import in_a_loop
from tests.serving.arms.test_arms import OK, REFUSAL, FakePool

SAME = Answer(200, 0, 1, b"")
OTHER = SAME._replace(body_type=DIFFERS)


class Pool(FakePool):
    """Has room and an idle replica, unless a test says otherwise."""

    idle = True

    def has_room(self, _: PredictionRequest) -> bool:
        return self.room


class Both:
    """Version 1 in production, and version 2 as its shadow."""

    def __init__(self, percent: float = 50.0) -> None:
        self.production, self.shadow = Pool("1"), Pool("2")
        self.metrics = Metrics()
        self.copies = ShadowCopies(
            "m", cast("Any", self.shadow), percent, 1e-6, self.metrics,
            production=lambda: cast("Any", self.production),
        )  # fmt: skip

    async def ask(self, count: int = 1000, answer: Answer = OK, *, by_name: bool = False) -> None:
        """Have production answer so many requests, and copy them."""
        loop = asyncio.get_running_loop()
        for number in range(count):
            receiver: asyncio.Future[Answer] = loop.create_future()
            request = PredictionRequest(
                rows=1, size=1, arrived=loop.time(), deadline=loop.time() + 60,
                item=Item("", b"%d" % number), receiver=receiver, client_left=lambda: False,
            )  # fmt: skip
            queued = self.copies.submit(
                request, cast("Any", self.production), headers=[],
                request_id=b"%d" % number, by_name=by_name,
            )  # fmt: skip
            assert queued
            assert self.production.requests.pop() is request
            copied = self.copied
            request.answer(answer, "1")
            assert await receiver == answer
            assert self.copied == copied  # the client comes first
            await asyncio.sleep(0)

    @property
    def copied(self) -> tuple[int, int]:
        """The numbers of copies that shadow and production got."""
        return len(self.shadow.requests), len(self.production.requests)

    def counts(self, name: str) -> dict[tuple[str, ...], int]:
        """The counts of a metric by its labels but the model."""
        return dict(getattr(self.metrics, name).with_first_label("m"))

    @property
    def described(self) -> dict[str, Any]:
        """What `/readyz` says of the copies."""
        return self.copies.describe()


@in_a_loop
async def test_a_share_is_copied_after_the_answer_and_a_tenth_of_it_to_production_again() -> None:
    both = Both()
    await both.ask()
    shadow, again = both.copied
    assert 400 < shadow < 500
    assert 30 < again < 75
    for copy in both.shadow.requests + both.production.requests:
        assert copy.item.mark_failures
        assert copy.item.expected == Expected(b"fine", 0, 1e-6)
        assert copy.size == len(copy.item.body) + len(b"fine")
    await both.ask()
    assert both.copied == (2 * shadow, 2 * again)  # the same requests


@in_a_loop
async def test_refusals_and_requests_that_name_a_version_are_not_copied() -> None:
    both = Both()
    await both.ask(answer=REFUSAL)
    await both.ask(by_name=True)
    assert both.copied == (0, 0)


@in_a_loop
async def test_what_the_arms_make_of_copies_is_counted_and_a_failure_is_a_difference() -> None:
    both = Both()
    await both.ask()
    shadow, again = both.copied
    outcomes = [
        SAME, OTHER, OTHER._replace(body_type=DIFFERS | NOT_FINITE), REFUSAL,
        REFUSAL._replace(body_type=MODEL_FAILED),
    ]  # fmt: skip
    for outcome in outcomes:
        both.shadow.answer(outcome)
    both.production.answer(OTHER)
    assert both.described == {
        "compared": 5, "differences": 4, "baseline": {"compared": 1, "differences": 1}
    }  # fmt: skip
    assert both.counts("arm_requests") == {("2", "shadow"): 5, ("1", "baseline"): 1}
    assert both.counts("arm_differences") == {("2", "shadow"): 4, ("1", "baseline"): 1}
    failures = {("2", "shadow", reason): 1 for reason in ("not finite", "refused", "error")}
    assert both.counts("arm_failures") == failures
    assert both.copied == (shadow - 5, again - 1)


@in_a_loop
async def test_a_lost_host_is_one_difference_however_many_copies_it_had() -> None:
    both = Both()
    await both.ask(100)
    copies = len(both.shadow.requests)
    while both.shadow.requests:
        assert both.shadow.requests[0].attempts == 1  # so it is not repeated
        both.shadow.lose(HOST_LOST)
    assert both.described["compared"] == both.described["differences"] == 1
    assert both.counts("shadow_dropped") == {("2", "host lost"): copies - 1}


@pytest.mark.parametrize("reason", ["queue full", "no host"])
@in_a_loop
async def test_copies_that_the_shadow_cannot_take_are_dropped_and_counted(reason: str) -> None:
    both = Both()
    both.shadow.room, both.shadow.ready = reason != "queue full", reason != "no host"
    await both.ask()
    assert both.copied[0] == 0
    assert 400 < both.counts("shadow_dropped")["2", reason] < 500
    assert both.described["compared"] == 0


@pytest.mark.parametrize("obstacle", ["idle", "retry"])
@in_a_loop
async def test_production_is_not_asked_again_while_it_works_or_if_that_has_effects(
    obstacle: str,
) -> None:
    both = Both()
    setattr(both.production, obstacle, False)
    await both.ask()
    assert both.copied[1] == 0


@in_a_loop
async def test_nobody_waits_for_copies_after_the_end_of_the_shadow() -> None:
    both = Both()
    await both.ask()
    first, second = both.shadow.requests[:2]
    first.end(STOPPED)
    both.copies.end()
    assert second.unwanted()
    second.answer(OTHER, "2")
    assert both.described["compared"] == 0


@in_a_loop
async def test_requests_of_a_canary_are_not_copied_and_each_arm_is_found_by_name() -> None:
    both, canary = Both(), Pool("3")
    arms = Arms(
        "m", cast("Any", canary), 100.0, ArmCounts(Plan()), both.metrics,
        production=lambda: cast("Any", both.production), abort=lambda _: None,
    )  # fmt: skip
    both.copies.canary = arms
    loop = asyncio.get_running_loop()
    for name, pool in (("@canary", canary), ("3", canary), ("@shadow", both.shadow)):
        assert cast("Any", both.copies.find(name)) is pool
    assert both.copies.find("4") is None
    for number in range(100):
        request = PredictionRequest(
            rows=1, size=1, arrived=loop.time(), deadline=loop.time() + 60, item=Item("", b""),
            receiver=loop.create_future(), client_left=lambda: False,
        )  # fmt: skip
        both.copies.submit(
            request, cast("Any", both.production), headers=[], request_id=b"%d" % number,
            by_name=False,
        )  # fmt: skip
        canary.answer(OK)
        await asyncio.sleep(0)
        assert request.arm == b"canary"
    arms.percent = 0.0
    await both.ask(100)
    assert both.copied[0] > 20
