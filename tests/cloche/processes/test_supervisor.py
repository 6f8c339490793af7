"""Nothing of a supervised process stays, however it ends; and its end is told as it was."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloche.processes import supervisor
from tests.online import started, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")

PROGRAM = Path(__file__).with_name("supervised_program.py")
ROOT = PROGRAM.parents[2]
# Stands between us and the supervisor, so that it can be killed without us.
PARENT = "import subprocess, sys; subprocess.run(sys.argv[1:])"

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the program, and wait until it has started all that it starts."""
    begun = []

    def begin(end: str, *above: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [*above, sys.executable, str(PROGRAM), str(tmp_path), end],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        begun.append(process)
        wait_for((tmp_path / "started").exists)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def left(folder: Path) -> list[int]:
    assert len(list(folder.glob("*.pid"))) >= 7
    return started(folder)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("returns", 0), ("raises", 1), ("exits", 3), ("SIGSEGV", -signal.SIGSEGV),
        ("SIGKILL", -signal.SIGKILL), ("signals its group", -signal.SIGKILL),
    ],
)  # fmt: skip
def test_what_the_work_started_ends_with_it(start, tmp_path, end, code):
    process = start(end)
    process.communicate(timeout=60)  # nobody holds its output open
    assert process.returncode == code
    assert not left(tmp_path)
    assert (tmp_path / "asked").exists() == (code in (0, 1))


@pytest.mark.parametrize("end", ["hangs", "SIGSTOP", "closes"])
def test_work_that_does_not_end_is_ended(start: Start, tmp_path: Path, end: str) -> None:
    process = start(end)
    assert supervisor.end(process, time_limit=0.1) == -signal.SIGKILL
    process.communicate(timeout=60)
    assert not left(tmp_path)


def test_work_ends_after_its_parent_was_killed(start: Start, tmp_path: Path) -> None:
    parent = start("hangs", sys.executable, "-c", PARENT)
    parent.kill()
    parent.communicate(timeout=60)
    assert not left(tmp_path)


def test_signals_that_are_meant_for_the_parent_change_nothing(start: Start, tmp_path: Path) -> None:
    process = start("hangs")
    working = int((tmp_path / "working").read_text())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(process.pid, number)
        os.kill(working, number)
    os.kill(working, signal.SIGKILL)  # handled in this order
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not left(tmp_path)
