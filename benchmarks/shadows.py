"""`python -m benchmarks.shadows`: what clients feel of a shadow, also of a much slower one.

Servers of the same production version run at the same time and are asked in turn: one without a
shadow, and one for each shadow. It prints only.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import mlflow
import requests

from benchmarks import command, load
from benchmarks.models import busy
from benchmarks.place import Question
from benchmarks.processes import free_port, serving

_PRODUCTION = "production"
_PATIENCE = 120.0
_COUNTED = ("cloche_arm_requests_total", "cloche_shadow_dropped_total")


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shadows", description=__doc__)
    parser.add_argument("--milliseconds", type=float, default=0.2, help="of production, for a row")
    parser.add_argument("--slower", type=float, nargs="+", default=[1, 10], help="of the shadows")
    parser.add_argument("--percent", type=float, default=50)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    command.add_options(parser)
    chosen = parser.parse_args()
    load.require("wrk")
    body = json.dumps({"dataframe_records": [busy.ROW]}).encode()
    with _servers(chosen) as servers, tempfile.TemporaryDirectory() as scratch:
        print(
            f"{'shadow':>10}{'connections':>12}{'requests/s':>11}{'p50 ms':>8}{'p99 ms':>8}  front"
        )
        for connections in chosen.connections:
            runs: dict[str, list[tuple[float, ...]]] = {name: [] for name in servers}
            for _ in range(chosen.rounds + 1):
                for name, (url, pid) in servers.items():
                    before = _processor_seconds(pid)
                    one = load.measure(
                        url, Question("/invocations", body), connections=connections,
                        seconds=chosen.seconds, scratch=Path(scratch),
                    )  # fmt: skip
                    requests_sent = max(1.0, one.rate * chosen.seconds)
                    front = 1e6 * (_processor_seconds(pid) - before) / requests_sent
                    runs[name].append((one.rate, one.p50, one.p99, front, one.failed))
                    time.sleep(1)  # until the shadow has scored what waits
            for name, (_, *counted) in runs.items():
                rate, p50, p99, front, _ = map(statistics.median, zip(*counted, strict=True))
                failed = sum(one[-1] for one in counted)
                print(
                    f"{name:>10}{connections:12}{rate:11,.0f}{p50:8.2f}{p99:8.2f}{front:5.0f} µs"
                    f"  {failed:.0f} failed; {_counts(servers[name][0])}",
                    flush=True,
                )


@contextmanager
def _servers(chosen: argparse.Namespace) -> Iterator[dict[str, tuple[str, int]]]:
    """Run the servers; each has a registry of its own."""
    with ExitStack() as stack:
        servers = {"none": _server(stack, chosen, None)}
        for factor in chosen.slower:
            servers[f"{factor:g}x"] = _server(stack, chosen, factor)
        yield servers


def _server(stack: ExitStack, chosen: argparse.Namespace, factor: float | None) -> tuple[str, int]:
    """Start a server, with version 2 as the shadow unless `factor` is None; return URL and PID."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    store = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(store, store)
    client.create_registered_model("busy")
    for number, times in enumerate((1.0, factor or 1.0), 1):
        busy.save(folder / str(number), chosen.milliseconds * times)
        client.create_model_version("busy", str(folder / str(number)))
    client.set_registered_model_alias("busy", _PRODUCTION, "1")
    if factor is not None:
        client.set_model_version_tag("busy", "2", "cloche.shadow_percent", str(chosen.percent))
        client.set_registered_model_alias("busy", "shadow", "2")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    line = [sys.executable, "-m", "cloche", "serve", f"models:/busy@{_PRODUCTION}"]
    server = stack.enter_context(
        serving(
            [*line, "--port", str(port)], {"MLFLOW_TRACKING_URI": store}, folder, url + "/readyz"
        )
    )
    if factor is not None:
        server.wait_until(lambda: _shadow_is_ready(url), _PATIENCE)
    return url, server.pid


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _shadow_is_ready(url: str) -> bool:
    state = requests.get(f"{url}/readyz", timeout=30).json()["models"]["busy"]
    return bool(state.get("shadow", {}).get("ready"))


def _counts(url: str) -> str:
    """What the server counted of copies since its start."""
    lines = requests.get(f"{url}/metrics", timeout=30).text.splitlines()
    found = [re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line) for line in lines]
    return ", ".join(
        f"{re.sub('.*(arm|reason)=', '', one[2])} {float(one[3]):,.0f}"
        for one in found
        if one and one[1] in _COUNTED
    )


if __name__ == "__main__":
    command.run(main)
