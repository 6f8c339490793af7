"""`python -m benchmarks.swaps`.

What clients feel while versions change, and what stays in memory.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import mlflow
import requests

from benchmarks import load, model
from benchmarks.contenders import cloche

_PORT = 18081
_URL = f"http://127.0.0.1:{_PORT}"
_CONNECTIONS = 64


def main() -> None:
    """Print p99 without and during swaps, the time from alias move to first answer, and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=10)
    swaps = parser.parse_args().swaps
    with tempfile.TemporaryDirectory() as directory:
        registry, uri, body = model.register(Path(directory))
        client = mlflow.MlflowClient()
        client.create_model_version("twelve", source=str(Path(directory) / "model"))
        environment = os.environ | {"MLFLOW_TRACKING_URI": registry, "XDG_CACHE_HOME": directory}
        with _running(cloche.command(uri, _PORT), environment) as pid:
            _swap(client, "2", body)
            _swap(client, "1", body)
            before, size = (
                load.measure(f"{_URL}/invocations", body, _CONNECTIONS, 10),
                load.memory(pid),
            )
            delays: list[float] = []

            def swap_all() -> None:
                delays.extend(_swap(client, str(2 - number % 2), body) for number in range(swaps))

            during = []
            with ThreadPoolExecutor(1) as thread:
                swapping = thread.submit(swap_all)
                while not swapping.done():
                    during.append(load.measure(f"{_URL}/invocations", body, _CONNECTIONS, 10))
                swapping.result()
            time.sleep(5)
            print("without swaps:", before)
            for one in during:
                print("during swaps: ", one)
            print("seconds from alias move to first answer:", [round(delay, 1) for delay in delays])
            print(f"MiB after 3 versions {size:.0f}, after {swaps} more {load.memory(pid):.0f}")


def _swap(client: mlflow.MlflowClient, version: str, body: Path) -> float:
    """Move the alias; the seconds until the first answer of `version`."""
    started = time.monotonic()
    client.set_registered_model_alias("twelve", "production", version)
    _wait_for(lambda: _answering_version(body) == version)
    return time.monotonic() - started


def _answering_version(body: Path) -> str:
    headers = {"content-type": "application/json"}
    answer = requests.post(f"{_URL}/invocations", body.read_bytes(), headers=headers, timeout=30)
    return answer.headers["x-model-version"]


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("Waited 300 s in vain.")
        time.sleep(0.02)


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        _wait_for(_ready)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _ready() -> bool:
    try:
        return requests.get(_URL + cloche.ready(), timeout=5).ok
    except requests.ConnectionError:
        return False


if __name__ == "__main__":
    main()
