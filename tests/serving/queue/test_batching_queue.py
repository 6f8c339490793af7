"""The queue's promises, over generated traffic."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.queue.batching_queue import BatchLimits, Queue, QueueLimits, Ticket

ROOMY = QueueLimits(requests=10_000, rows=10**9, size=10**9)


def ticket(rows: int = 1, size: int = 10, arrived: float = 0.0, *, alone: bool = False) -> Ticket:
    return Ticket(rows=rows, size=size, arrived=arrived, alone=alone)


def queue_of(
    tickets: list[Ticket], batches: BatchLimits, limits: QueueLimits = ROOMY
) -> Queue[Ticket]:
    queue: Queue[Ticket] = Queue(limits, batches)
    for one in tickets:
        assert queue.offer(one)
    return queue


def drained(queue: Queue[Ticket], now: float = 0.0) -> list[list[Ticket]]:
    batches = []
    while batch := queue.next_batch(now):
        batches.append(batch)
    return batches


tickets = st.lists(
    st.builds(ticket, rows=st.integers(1, 50), size=st.integers(1, 500), alone=st.booleans()),
    max_size=40,
)


@given(tickets)
def test_every_ticket_is_scored_once_in_order_and_in_batches_within_their_limits(
    offered: list[Ticket],
) -> None:
    queue = queue_of(offered, BatchLimits(rows=20, size=300))
    batches = drained(queue)
    taken = [one for batch in batches for one in batch]
    assert sorted(map(id, taken)) == sorted(map(id, offered))
    assert (len(queue), queue.rows, queue.size) == (0, 0, 0)
    small = [one for one in offered if one.rows <= 20 and one.size <= 300]
    assert [one for one in taken if one in small] == small
    for batch in batches:
        if len(batch) > 1:
            assert sum(one.rows for one in batch) <= 20
            assert sum(one.size for one in batch) <= 300
            assert not any(one.alone for one in batch)


@given(st.integers(1, 20), st.integers(1, 20))
def test_large_and_small_requests_take_turns(large: int, small: int) -> None:
    offered = [ticket(rows=100) for _ in range(large)] + [ticket(rows=20) for _ in range(small)]
    kinds = [
        batch[0].rows for batch in drained(queue_of(offered, BatchLimits(rows=20, size=10**6)))
    ]
    both = kinds[: 2 * min(large, small)]
    assert all(one != other for one, other in pairwise(both))


@given(tickets, st.integers(1, 10), st.integers(1, 60), st.integers(1, 600))
def test_what_waits_stays_within_the_queue_limits(
    offered: list[Ticket], requests: int, rows: int, size: int
) -> None:
    queue: Queue[Ticket] = Queue(QueueLimits(requests, rows, size), BatchLimits(20, 300))
    for one in offered:
        queue.offer(one)
        assert len(queue) <= requests
        assert len(queue) <= 1 or (queue.rows <= rows and queue.size <= size)


def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    queue: Queue[Ticket] = Queue(QueueLimits(1, 1, 1), BatchLimits(1, 1))
    assert queue.offer(ticket(rows=100, size=100))
    assert not queue.offer(ticket())


def test_the_first_waits_for_company_as_long_as_it_was_told_and_a_full_batch_does_not() -> None:
    queue = queue_of([ticket(arrived=1.0)], BatchLimits(rows=8, size=10**6, wait=0.5))
    assert queue.next_batch(1.4) == []
    assert queue.wait_until(1.4) == 1.5
    assert len(queue.next_batch(1.5)) == 1
    queue = queue_of([ticket() for _ in range(8)], BatchLimits(rows=8, size=10**6, wait=9.0))
    assert len(queue.next_batch(0.0)) == 8


@given(tickets)
def test_what_is_put_back_comes_first_and_in_order(offered: list[Ticket]) -> None:
    queue = queue_of([ticket(), ticket()], BatchLimits(rows=100, size=10**6))
    back = [one for one in offered if one.rows <= 100]
    queue.put_back(back)
    taken = [one for batch in drained(queue) for one in batch]
    assert taken[: len(back)] == back


@given(tickets)
def test_unwanted_tickets_leave_and_are_no_longer_counted(offered: list[Ticket]) -> None:
    queue = queue_of(offered, BatchLimits(rows=20, size=300))
    removed = queue.remove(lambda one: one.rows % 2 == 0)
    left = [one for one in offered if one.rows % 2]
    assert {id(one) for one in removed} == {id(one) for one in offered} - {id(one) for one in left}
    assert (queue.rows, queue.size) == (sum(o.rows for o in left), sum(o.size for o in left))


def test_a_batch_is_worth_it_with_a_third_of_the_clients() -> None:
    queue = queue_of([ticket()], BatchLimits(rows=100, size=1000))
    assert queue.worth_a_batch, "nothing is known of the clients yet"
    for wave in (21, 43):
        queue = _after(queue, wave)
    for _ in range(21):
        assert queue.offer(ticket())
        assert not queue.worth_a_batch
    assert queue.offer(ticket())
    assert queue.worth_a_batch


def test_a_large_request_and_one_of_a_single_client_are_always_worth_a_batch() -> None:
    queue = _after(queue_of([], BatchLimits(rows=100, size=1000)), 60)
    assert queue.offer(ticket(rows=200))
    assert queue.worth_a_batch
    queue = queue_of([], BatchLimits(rows=100, size=1000))
    for _ in range(3):
        assert queue.offer(ticket())
        assert queue.worth_a_batch
        assert len(queue.next_batch(0.0)) == 1


def _after(queue: Queue[Ticket], wave: int) -> Queue[Ticket]:
    """`queue` when it was emptied and `wave` requests left it in one batch."""
    drained(queue)
    for _ in range(wave):
        assert queue.offer(ticket())
    assert len(queue.next_batch(0.0)) == wave
    return queue
