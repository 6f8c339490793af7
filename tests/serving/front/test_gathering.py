from hypothesis import given
from hypothesis import strategies as st

from serving.front.gathering import after_batch


def test_nobody_is_waited_for_when_nobody_waits() -> None:
    assert after_batch(now=1.0, seconds=0.01, answered=5, waiting=0) is None


def test_it_ends_when_all_are_back() -> None:
    gathering = after_batch(now=1.0, seconds=0.01, answered=5, waiting=3)
    assert gathering is not None
    assert not gathering.over(1.0, 7)
    assert gathering.over(1.0, 8)


@given(st.floats(0, 1e6), st.floats(0, 100), st.integers(0, 500), st.integers(1, 500))
def test_it_never_takes_more_than_a_tenth_of_a_batch_or_5_milliseconds(
    now: float, seconds: float, answered: int, waiting: int
) -> None:
    gathering = after_batch(now, seconds, answered, waiting)
    assert gathering is not None
    assert gathering.until <= now + min(seconds * 0.1, 0.005)
    assert gathering.over(gathering.until, waiting)
