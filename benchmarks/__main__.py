"""`python -m benchmarks`: measures every contender in turn and writes `benchmarks/results.md`."""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path

import requests

from benchmarks import load, model

CONTENDERS = ("echo", "mlflow", "fastapi", "cloche")
CONNECTIONS = (1, 8, 64, 256)
RESULTS = Path(__file__).with_name("results.md")
_PORT = 18080

Measured = dict[tuple[str, int], list[load.Measurement]]


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="per measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of all contenders in turn")
    options = parser.parse_args()
    measured: Measured = defaultdict(list)
    memory: defaultdict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        registry, uri, body = model.register(Path(directory))
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": registry,
            "XDG_CACHE_HOME": directory,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # MLflow runs uvicorn
        }
        for _ in range(options.rounds):
            for name in CONTENDERS:
                contender = import_module(f"benchmarks.contenders.{name}")
                with running(contender.command(uri, _PORT), contender.ready(), environment) as pid:
                    for connections in CONNECTIONS:
                        url = f"http://127.0.0.1:{_PORT}{contender.predict()}"
                        one = load.measure(url, body, connections, options.seconds)
                        measured[name, connections].append(one)
                        print(name, connections, one)
                    memory[name].append(load.memory(pid))
    RESULTS.write_text(report(measured, memory))


@contextmanager
def running(command: list[str], ready: str, environment: dict[str, str]) -> Iterator[int]:
    """A contender that answers; its process id."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 300
        while not _answers(f"http://127.0.0.1:{_PORT}{ready}"):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command} does not answer.")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def report(measured: Measured, memory: dict[str, list[float]]) -> str:
    """The medians of all rounds as a table."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("mlflow", "uvicorn"))
    lines = [
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}. One row of 12",
        "columns per request; medians of alternating rounds.",
        "",
        "| contender | connections | requests/s | p50 ms | p99 ms | failed | times mlflow | MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (name, connections), runs in sorted(measured.items(), key=lambda item: item[0][1]):
        rate, p50, p99 = (
            statistics.median(getattr(run, field) for run in runs)
            for field in ("rate", "p50", "p99")
        )
        base = statistics.median(run.rate for run in measured["mlflow", connections])
        failed = sum(run.failures for run in runs)
        mebibytes = statistics.median(memory[name])
        lines.append(
            f"| {name} | {connections} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {failed} "
            f"| {rate / base:.1f} | {mebibytes:.0f} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
