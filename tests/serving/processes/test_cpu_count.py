import os
from pathlib import Path

import pytest

from cloche.serving.processes.cpu_count import cores

HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "found"),
    [("100000 100000", 1), ("50000 100000", 1), ("6400000 100000", min(HERE, 64)),
     ("max 100000", HERE), (None, HERE)],
)  # fmt: skip
def test_the_limit_of_a_container_counts(tmp_path: Path, quota: str | None, found: int) -> None:
    file = tmp_path / "cpu.max"
    if quota:
        file.write_text(f"{quota}\n")
    assert cores(file) == found
