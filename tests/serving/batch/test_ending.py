"""How a job ends, and what its model leaves behind: nothing."""

import socket
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from cloche.serving.batch.scoring import worker_process
from tests import warm
from tests.online import started
from tests.serving.batch.conftest import table
from tests.shell import environment

pytestmark = pytest.mark.slow


def test_what_the_model_does_to_its_process_costs_the_job_nothing_and_nothing_is_left(
    made_models: Path, tmp_path: Path
) -> None:
    table(20).to_csv(tmp_path / "rows.csv", index=False)
    done = subprocess.run(
        [
            *(warm.python(), "-m", "cloche", "score", str(made_models / "guest")),
            *("rows.csv", "out/"),
            *("--id-column", "id", "--workers", "1", "--part-rows", "10", "--no-track"),
        ],
        cwd=tmp_path, env=environment() | {"TMPDIR": str(tmp_path)},
        capture_output=True, timeout=120, text=True, check=False,
    )  # fmt: skip  # it ends although a process of the model had its output
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.pid"))) == 1
    assert not started(tmp_path)
    assert (tmp_path / "asked").exists()
    parts = list((tmp_path / "out").glob("*.parquet"))
    assert sum(len(pd.read_parquet(part)) for part in parts) == 20
    assert not [part for part in parts if part.stat().st_mode & 0o777 != 0o644]


def test_a_worker_whose_engine_is_gone_ends_without_a_traceback() -> None:
    """Scenario: the disk is full, and the engine ends while its workers answer."""
    engine, worker = socket.socketpair()
    engine.sendall(b'{"job": {}, "directory": "parts"}\n')
    engine.close()
    worker_process.run(worker)
