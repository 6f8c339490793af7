import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.dispatch.poll_policy import PollPace, ServingState, should_load


@pytest.mark.parametrize(
    ("state", "loads"),
    [
        (ServingState(), True),
        (ServingState(identity="m/1"), True),
        (ServingState(identity="m/2"), False),
        (ServingState(identity="m/1", refused_revision="r2"), False),
        (ServingState(identity="m/1", refused_revision="r1"), True),
    ],
)
def test_a_version_is_loaded_when_it_is_new_and_not_known_to_be_broken(
    state: ServingState, loads: bool
) -> None:
    assert should_load(state, identity="m/2", revision="r2") is loads


def pace(*seconds: float) -> PollPace:
    """After looks that took so long."""
    return functools.reduce(PollPace.after, seconds, PollPace())


@pytest.mark.parametrize(
    ("looks", "pause"),
    [
        pytest.param((0.01, 0.01), 2, id="the interval, for a registry that answers at once"),
        pytest.param((0.01, 5), 2, id="a single slow look delays nothing"),
        pytest.param((1, 3), 9, id="at most a tenth of the time, for a busy one"),
        pytest.param((10, 10, 0.01), 2, id="an answer at once ends the long pauses"),
    ],
)
def test_a_registry_is_asked_as_often_as_it_can_answer(
    looks: tuple[float, ...], pause: float
) -> None:
    assert pace(*looks).pause(2, jitter=0) == pytest.approx(pause)


@given(
    looks=st.lists(st.floats(0, 1e4), max_size=5),
    interval=st.floats(0.1, 3600),
    jitter=st.floats(0, 1),
)
def test_a_pause_is_never_longer_than_a_minute_or_the_interval(
    looks: list[float], interval: float, jitter: float
) -> None:
    assert 0 < pace(*looks).pause(interval, jitter) <= max(interval, 60)


def test_servers_that_were_started_together_drift_apart_and_none_waits_longer() -> None:
    assert [PollPace().pause(2, jitter) for jitter in (0, 0.5, 1)] == [2, 1.8, 1.6]
