"""A standalone Spark cluster on loopback: one master, two workers of one core each."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import spark
from tests.shell import environment, free_port

_CONFIGURATION = """
spark.master                     spark://127.0.0.1:{port}
spark.driver.host                127.0.0.1
spark.driver.bindAddress         127.0.0.1
spark.executor.memory            512m
spark.ui.enabled                 false
"""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of a user whose Spark is configured for the cluster."""
    spark.needed()
    import pyspark

    folder = tmp_path_factory.mktemp("spark")
    port, page = free_port(), free_port()
    (folder / "spark-defaults.conf").write_text(_CONFIGURATION.format(port=port))
    variables = environment() | {
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_CONF_DIR": str(folder),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
    }
    url = f"spark://127.0.0.1:{port}"
    daemons = [_daemon(variables, folder, "master.Master", "--port", port, "--webui-port", page)]
    try:
        _until(lambda: _state(page) is not None, daemons, folder)
        for _ in range(2):
            limits = ("--cores", 1, "--memory", "512m", "--webui-port", 0, "--work-dir", folder)
            daemons.append(_daemon(variables, folder, "worker.Worker", *limits, url))
        _until(lambda: (_state(page) or {}).get("aliveworkers") == 2, daemons, folder)
        yield variables
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait()


def _daemon(
    variables: dict[str, str], folder: Path, name: str, *options: Any
) -> subprocess.Popen[bytes]:
    program = Path(variables["SPARK_HOME"]) / "bin" / "spark-class"
    words = [program, f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1", *map(str, options)]
    with (folder / "daemons.log").open("ab") as log:
        return subprocess.Popen(words, env=variables, stdout=log, stderr=log, cwd=folder)


def _state(page: int) -> dict[str, Any] | None:
    """What the master says of its cluster."""
    try:
        state: dict[str, Any] = requests.get(f"http://127.0.0.1:{page}/json/", timeout=5).json()
    except requests.RequestException:
        return None
    return state


def _until(ready: Any, daemons: list[subprocess.Popen[bytes]], folder: Path) -> None:
    while not ready():
        ended = [daemon.args for daemon in daemons if daemon.poll() is not None]
        assert not ended, f"{ended}\n{(folder / 'daemons.log').read_text()}"
        time.sleep(0.1)  # the master tells nobody when a worker joins
