"""Each phase of a connection has an end, and what brings no request forward does not put it off."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.http.connection_phases import Phase, PhaseClock, PhaseLimits, PhaseSnapshot
from tests.in_a_loop import in_a_loop
from tests.serving.wire import Wire, request, turns

PATIENCE = PhaseLimits(client=20.0, request=60.0, idle=75.0)
LIMITS = {
    Phase.HEAD: 20.0, Phase.REST: 20.0, Phase.IDLE: 75.0, Phase.ANSWER: 90.0, Phase.UNSENT: 20.0,
}  # fmt: skip


@pytest.mark.parametrize("phase", Phase)
def test_a_phase_is_over_after_its_time(phase: Phase) -> None:
    clock, snapshot = PhaseClock(), PhaseSnapshot(phase, 1, 0)
    assert not clock.is_over(snapshot, 1000.0, PATIENCE)
    assert not clock.is_over(snapshot, 1000.0 + LIMITS[phase], PATIENCE)
    assert clock.is_over(snapshot, 1000.1 + LIMITS[phase], PATIENCE)


@given(st.lists(st.tuples(st.sampled_from(Phase), st.integers(0, 2)), max_size=8))
def test_another_phase_or_request_begins_anew(steps: list[tuple[Phase, int]]) -> None:
    clock = PhaseClock()
    before = None
    for now, (phase, request_number) in enumerate(steps):
        late = now * 1e6
        over = clock.is_over(PhaseSnapshot(phase, request_number, 0), late, PATIENCE)
        assert over == ((phase, request_number) == before)
        before = (phase, request_number)


@given(st.integers(0, 2**40))
def test_an_answer_may_be_taken_slowly_but_not_for_ever(unsent: int) -> None:
    limit = PATIENCE.limit(PhaseSnapshot(Phase.UNSENT, 1, unsent))
    assert PATIENCE.client <= limit < math.inf
    assert limit <= PATIENCE.client + unsent / 1024


BEFORE, LATER = 0.0, 10_000.0  # when somebody looks
WHOLE = request("/fast", body=b"1")
STATES: dict[str, tuple[list[bytes], Phase, int]] = {
    "new": ([], Phase.HEAD, 408),
    "after an empty line": ([b"\r\n"], Phase.HEAD, 408),
    "in a head": ([b"GET / HTTP/1.1\r\nhos"], Phase.HEAD, 408),
    "in a head, after an answer": ([WHOLE, b"GET /"], Phase.HEAD, 408),
    "in the body of a request": ([request("/x", "content-length: 999") + b"{"], Phase.ANSWER, 0),
    "in a chunk of a request": (
        [request("/x", "transfer-encoding: chunked") + b"999\r\n{"], Phase.ANSWER, 0,
    ),
    "in the body of a request that was answered": (
        [request("/unread", "content-length: 999") + b"{"], Phase.REST, 0,
    ),
    "waiting for an answer": ([request("/never")], Phase.ANSWER, 0),
    "waiting for an answer, and the next has begun": (
        [request("/never"), b"GET /"], Phase.ANSWER, 0,
    ),
    "after an answer": ([WHOLE], Phase.IDLE, 0),
    "after an answer, with an empty line": ([WHOLE, b"\r\n"], Phase.IDLE, 0),
    "after the answer of the application": ([request("/x", body=b"1")], Phase.IDLE, 0),
    "after two at once": ([WHOLE + request("/x", body=b"2")], Phase.IDLE, 0),
}  # fmt: skip
DRIPS = {
    Phase.HEAD: b"a", Phase.REST: b"a", Phase.IDLE: b"\r\n", Phase.ANSWER: b"a", Phase.UNSENT: b"",
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
@in_a_loop
async def test_a_client_that_drips_is_ended_in_each_state(name: str) -> None:
    pieces, phase, status = STATES[name]
    wire = Wire()
    await wire.send(*pieces)
    wire.transport.written.clear()
    now, limit = 0.0, PATIENCE.limit(PhaseSnapshot(phase, 0, 0))
    wire.connection.close_if_slow(now, PATIENCE)
    while not wire.transport.closed:
        assert now <= limit + 1, "it is open still"
        now += 0.9
        if now % 5 < 1 and name != "new":
            await wire.send(b"\r\n" if name == "after an empty line" else DRIPS[phase])
        wire.connection.close_if_slow(now, PATIENCE)
    assert now > limit
    assert wire.statuses == ([status] if status else [])


@in_a_loop
async def test_a_client_that_takes_no_answer_is_ended_and_asks_no_more_meanwhile() -> None:
    wire = Wire()
    wire.transport.full = True
    await wire.send(WHOLE)
    wire.connection.pause_writing()
    assert wire.transport.paused
    await turns()
    assert wire.transport.paused
    wire.connection.close_if_slow(0.0, PATIENCE)
    wire.connection.close_if_slow(PATIENCE.client, PATIENCE)
    assert not wire.transport.closed
    wire.connection.close_if_slow(PATIENCE.client + 1, PATIENCE)
    assert wire.transport.aborted


@in_a_loop
async def test_a_client_that_takes_its_answer_again_may_ask_again() -> None:
    wire = Wire()
    await wire.send(WHOLE)
    wire.connection.pause_writing()
    wire.connection.resume_writing()
    assert not wire.transport.paused
    await wire.send(WHOLE)
    assert wire.statuses == [200, 200]


@in_a_loop
async def test_what_was_closed_and_is_not_taken_is_ended() -> None:
    wire = Wire()
    wire.transport.full = True
    await wire.send(request("/x", "connection: close", body=b"1"))
    assert wire.transport.closed
    wire.connection.close_if_slow(0.0, PATIENCE)
    assert not wire.transport.aborted
    wire.connection.close_if_slow(99.0, PATIENCE)
    assert wire.transport.aborted
