"""Stock MLflow's own server beside the user's shell."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.shell import answers, environment, free_port


@pytest.fixture
def stock_server(folder: Path, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Start `mlflow models serve` for a model URI and give its address."""
    running: list[subprocess.Popen[bytes]] = []

    def serve(model_uri: str) -> str:
        port = free_port()
        with (tmp_path / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *("mlflow", "models", "serve", "--env-manager", "local"),
                    *("-m", model_uri, "-p", str(port)),
                ],
                cwd=folder, env=environment(), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        running.append(process)
        address = f"http://127.0.0.1:{port}"
        while not answers(f"{address}/ping"):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            time.sleep(0.1)
        return address

    yield serve
    for process in running:
        os.killpg(process.pid, 15)
        process.wait()
