import pytest

from benchmarks.breakdown import stages
from benchmarks.errors import BenchmarkError
from benchmarks.marks import MARKS
from benchmarks.tracing import chains, find

LAST = len(MARKS) - 1


def passing(start: int, step: int) -> list[tuple[int, int]]:
    """The moments of one request that takes `step` from mark to mark."""
    return [(position, start + position * step) for position in range(len(MARKS))]


@pytest.mark.parametrize("target", [target for mark in MARKS for target in mark.targets])
def test_every_mark_is_on_a_function_that_exists(target):
    assert callable(find(target)[2])


def test_a_mark_that_is_gone_says_where_to_mend_it():
    with pytest.raises(BenchmarkError, match=r"benchmarks/marks\.py"):
        find("cloche.serving.host.scoring:HostScorer.gone")


def test_requests_are_told_apart():
    moments = passing(100, 1) + passing(200, 2)
    assert [way[0] for way in chains(moments)] == [100, 200]
    assert [way[-1] for way in chains(moments)] == [100 + LAST, 200 + 2 * LAST]


def test_a_body_in_pieces_counts_from_its_first_piece():
    first, *rest = passing(100, 10)
    pieces = [first, (0, 103), (0, 106)]
    (way,) = chains(pieces + rest)
    assert way[:2] == [100, 110]


def test_what_came_before_the_first_request_is_left_out():
    warm_up = [
        (position, position) for position, mark in enumerate(MARKS) if mark.process == "host"
    ]
    assert [way[0] for way in chains(warm_up + passing(100, 1))] == [100]


def test_the_stages_of_a_request_add_up_to_what_the_client_waited():
    way = [1_000 + 2_000 * position for position in range(len(MARKS))]

    found = stages([(0, way[-1] + 5_000)], [way])

    assert sum(one.microseconds for one in found) == (way[-1] + 5_000) / 1000
    assert found[0].microseconds == 1
    assert found[-1].microseconds == 5


def test_the_slowest_and_the_fastest_requests_are_left_out_of_the_means():
    waits, ways = [], []
    for number, step in enumerate((1, 10, 10, 1_000_000)):
        start = number * 10**9
        ways.append([start + position * step for position in range(len(MARKS))])
        waits.append((start, ways[-1][-1]))

    assert {one.microseconds for one in stages(waits, ways)[1:-1]} == {0.01}


def test_a_request_that_no_mark_saw_is_an_error():
    with pytest.raises(ValueError, match="No request"):
        stages([(0, 10)], [[20] * len(MARKS)])
