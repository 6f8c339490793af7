import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.dispatch.poll_policy import Pace, Standing, should_load


@pytest.mark.parametrize(
    ("standing", "loads"),
    [
        (Standing(), True),
        (Standing(identity="m/1"), True),
        (Standing(identity="m/2"), False),
        (Standing(identity="m/1", refused_revision="r2"), False),
        (Standing(identity="m/1", refused_revision="r1"), True),
    ],
)
def test_a_version_is_loaded_when_it_is_new_and_not_known_to_be_broken(
    standing: Standing, loads: bool
) -> None:
    assert should_load(standing, identity="m/2", revision="r2") is loads


def pace(*seconds: float) -> Pace:
    """After looks that took so long."""
    found = Pace()
    for one in seconds:
        found = found.after(one)
    return found


def test_a_registry_that_answers_at_once_is_asked_at_the_interval() -> None:
    assert pace(0.01, 0.01).pause(2, draw=0) == 2


def test_a_single_slow_look_does_not_delay_the_next_one() -> None:
    assert pace(0.01, 5).pause(2, draw=0) == 2


def test_a_busy_registry_is_asked_for_at_most_a_tenth_of_the_time() -> None:
    assert pace(1, 3).pause(2, draw=0) == pytest.approx(9)


def test_an_answer_at_once_ends_the_long_pauses() -> None:
    assert pace(10, 10, 0.01).pause(2, draw=0) == 2


@given(
    looks=st.lists(st.floats(0, 1e4), max_size=5),
    interval=st.floats(0.1, 3600),
    draw=st.floats(0, 1),
)
def test_a_pause_is_never_longer_than_a_minute_or_the_interval(
    looks: list[float], interval: float, draw: float
) -> None:
    assert 0 < pace(*looks).pause(interval, draw) <= max(interval, 60)


def test_servers_that_were_started_together_drift_apart_and_none_waits_longer() -> None:
    assert [Pace().pause(2, draw) for draw in (0, 0.5, 1)] == [2, 1.8, 1.6]
