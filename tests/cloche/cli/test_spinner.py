"""Who reads progress in a pipe sees a line for each step, and sees that a long one goes on."""

import threading
from collections.abc import Callable

import pytest

from cloche.cli.spinner import steps
from tests.online import wait_for

Read = Callable[[], str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Read:
    """Everything on standard error until now."""
    lines: list[str] = []

    def read() -> str:
        lines.append(capsys.readouterr().err)
        return "".join(lines)

    return read


def test_the_work_and_each_step_are_one_line_however_long(printed: Read):
    step = "fitting " + "a.very.long.name " * 20
    with steps("training", repeat=60) as say:
        assert printed().endswith("] training\n")
        say(step)

    lines = [line.partition("] ")[2] for line in printed().splitlines()]
    assert lines == ["training", step]


def test_a_step_that_takes_long_is_named_again(printed: Read):
    with steps("training", repeat=0.01) as say:
        wait_for(lambda: "still at work: training" in printed())
        say("fitting")
        wait_for(lambda: printed().count("still at work: fitting") > 1)


def test_nobody_is_left_to_repeat_it_afterwards(printed: Read):
    with steps("training", repeat=60) as say:
        say("fitting")
        assert "progress" in names_of_threads()

    assert "progress" not in names_of_threads()


def names_of_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]
