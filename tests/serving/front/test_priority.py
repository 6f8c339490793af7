"""A process in the background gets its old priority back, with all its threads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloche.serving.front import priority

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities on Linux only"),
    pytest.mark.skipif(
        not priority._may_restore(), reason="needs the right to raise priorities: ulimit -e 20"
    ),
]

TWO_THREADS = """
import threading
stay = threading.Event()
threading.Thread(target=stay.wait, daemon=True).start()
print("ready", flush=True)
input()
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", TWO_THREADS], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def priorities(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [os.getpriority(os.PRIO_PROCESS, int(thread.name)) for thread in threads]


def test_a_process_is_lowered_and_restored_with_its_threads(
    process: subprocess.Popen[str],
) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with priority.lowered(process.pid):
        assert priorities(process.pid) == [min(own + 10, 19)] * 2
    assert priorities(process.pid) == [own] * 2


def test_a_process_that_ended_is_nobodys_trouble(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    with priority.lowered(process.pid):
        pass
