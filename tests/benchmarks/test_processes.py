import os
import sys
from pathlib import Path

import pytest

from benchmarks.errors import NotServing
from benchmarks.processes import mebibytes, running, tree
from tests.online import wait_for

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
PARENT = (
    "import subprocess, sys, time;"
    f"subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]); time.sleep(600)"
)


def test_a_server_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]

    with (
        running(command, os.environ, tmp_path / "log") as server,
        pytest.raises(NotServing, match=r"code 1\.\nno such model"),
    ):
        server.wait_until(lambda: False, 60)


def test_a_server_that_takes_too_long_is_told(tmp_path):
    command = [sys.executable, "-c", SLEEPER]

    with (
        running(command, os.environ, tmp_path / "log") as server,
        pytest.raises(NotServing, match="were not enough"),
    ):
        server.wait_until(lambda: False, 0)


def test_what_a_server_started_ends_with_it_and_counts_as_its_memory(tmp_path):
    log = tmp_path / "log"

    with running([sys.executable, "-c", PARENT], os.environ, log) as server:
        server.wait_until(lambda: "up" in log.read_text(), 60)
        family = tree(server.pid)
        alone = mebibytes(family[-1])
        together = mebibytes(server.pid)

    assert len(family) == 2
    assert together > alone > 0
    wait_for(lambda: not any(map(still_runs, family)), 60)


def still_runs(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
