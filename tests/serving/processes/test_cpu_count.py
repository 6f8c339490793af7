import os
from pathlib import Path

import pytest

from cloche.serving.processes.cpu_count import cores

HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "found"),
    [("100000 100000\n", 1), ("50000 100000\n", 1), ("6400000 100000\n", min(HERE, 64))],
)
def test_the_limit_of_a_container_counts(tmp_path: Path, quota: str, found: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert cores(file) == found


def test_without_a_limit_all_cores_count(tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    file.write_text("max 100000\n")
    assert cores(file) == HERE
    assert cores(tmp_path / "absent") == HERE
