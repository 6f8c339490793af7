"""A process in the background gets its old priority back, with all its threads."""

import os
import subprocess
import sys

import pytest

from cloche.serving.processes import priority

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities on Linux only"),
    pytest.mark.skipif(
        not priority._may_restore(), reason="needs the right to raise priorities: ulimit -e 20"
    ),
]

TWO_THREADS = """
import os, threading
from pathlib import Path
from cloche.serving.processes import priority

def priorities():
    threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
    assert len(threads) >= 2  # the system may still show one that has ended
    return {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}

stay = threading.Event()
threading.Thread(target=stay.wait, daemon=True).start()
with priority.lowered():
    print(priorities())
print(priorities())
"""


def test_a_process_is_lowered_and_restored_with_its_threads() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    said = subprocess.run(
        [sys.executable, "-c", TWO_THREADS], text=True, capture_output=True, check=True
    ).stdout
    assert said.splitlines() == [str({min(own + 10, 19)}), str({own})]
