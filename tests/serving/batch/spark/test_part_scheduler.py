"""What Spark is asked next, without Spark."""

import pytest

from cloche.serving.batch.job.part import FinishedPart
from cloche.serving.batch.spark.part_scheduler import PartScheduler, ScheduledParts
from cloche.serving.errors import JobFailed
from tests.serving.batch.conftest import part


def agenda(count: int, *, flowing: bool = True) -> PartScheduler:
    return PartScheduler((part(at, start=0, stop=4) for at in range(count)), flowing=flowing)


def finished(index: int) -> dict[str, object]:
    return {"finished": FinishedPart(index, 4, 0, {}, [], None, None, {}, {}).to_json()}


def indices(asked: ScheduledParts | None) -> list[int]:
    return [case.part.index for case in asked.cases] if asked else []


def test_parts_flow_together_as_many_as_are_wanted_or_are_asked_for_whole():
    all_parts = agenda(5)
    asked = all_parts.next(3)
    assert [question["part"]["index"] for question in asked.requests()] == [0, 1, 2]
    assert all(question["flow"] for question in asked.requests())
    assert indices(all_parts.next(3)) == [3, 4]
    assert all_parts.next(3) is None
    asked = agenda(2, flowing=False).next(2)
    assert [set(question) for question in asked.requests()] == [
        {"part", "without", "rows_per_call"}
    ] * 2


def test_a_part_that_does_not_fit_is_asked_for_whole_and_the_others_are_finished():
    all_parts = agenda(3)
    asked = all_parts.next(3)
    done = list(all_parts.answered(asked, [finished(0), {"unfit": "it is odd"}, finished(2)]))
    assert [one.index for one in done] == [0, 2]
    again = all_parts.next(3)
    assert indices(again) == [1]
    assert not again.flowing


def test_after_a_death_each_part_is_asked_about_alone():
    all_parts = agenda(3)
    all_parts.died(all_parts.next(2), "in Spark")
    assert [indices(all_parts.next(9)) for _ in range(3)] == [[0], [1], [2]]


def test_a_row_that_kills_is_found_and_left_out():
    all_parts = agenda(1)
    all_parts.died(all_parts.next(1), "in Spark")
    deadly = 2

    while (
        "try" in (question := (asked := all_parts.next(1)).requests()[0]) or not question["without"]
    ):
        low, high = question.get("try", (0, 4))
        if low <= deadly < high:
            all_parts.died(asked, "in Spark")
        else:
            list(all_parts.answered(asked, [{"survived": True}]))

    assert question["without"] == {deadly: "scoring it killed the worker (in Spark)"}


def test_what_an_executor_cannot_do_fails_the_job():
    all_parts = agenda(1)
    asked = all_parts.next(1)
    with pytest.raises(JobFailed, match="the disk is full"):
        list(all_parts.answered(asked, [{"failed": "the disk is full"}]))
