"""When a host that answers with errors is asked whether it still can."""

from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.dispatch.broken_host_check import BrokenHostCheck


def test_a_few_failures_are_the_clients_and_a_sound_host_is_left_alone_for_a_while() -> None:
    assert not BrokenHostCheck().after(1).after(3).is_due(0.0)
    assert BrokenHostCheck().after(1).after(4).is_due(0.0)
    doubt = BrokenHostCheck.settled(100.0, 0.01).after(1000)
    assert not doubt.is_due(109.0)
    assert doubt.is_due(110.0)
    assert not BrokenHostCheck.settled(100.0, 0.01).is_due(1000.0)  # there are no failures


@given(
    arrivals=st.lists(st.tuples(st.floats(0, 60), st.integers(0, 50)), max_size=200),
    took=st.floats(0.001, 30),
)
def test_checks_take_at_most_a_hundredth_of_the_time(
    arrivals: list[tuple[float, int]], took: float
) -> None:
    now, doubt, checks = 0.0, BrokenHostCheck(), 0
    for pause, failures in arrivals:
        now += pause
        doubt = doubt.after(failures)
        if doubt.is_due(now):
            checks += 1
            now += took
            doubt = BrokenHostCheck.settled(now, took)
    assert (checks - 1) * took <= 0.01 * now + took
