"""Floods on one connection of gRPC: probes and other clients are answered, and memory is bounded.

`CLOCHE_FLOOD_SECONDS=20 python -m pytest -s tests/lifecycle/test_floods.py` sends each for longer,
and prints what was seen.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import requests

from tests.lifecycle.floods import FLOODS, INFER, KEYLESS, MAX_BODY
from tests.lifecycle.registry import infer_request, serving_production
from tests.online import Server

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("lifecycle-floods")]

KEY = "a-key"
SECONDS = os.environ.get("CLOCHE_FLOOD_SECONDS", "1")
CASES = [
    (flood, key) for flood in FLOODS for key in ("none", KEY) if flood not in KEYLESS or key == KEY
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ("--grpc-port", "0", "--max-body", str(MAX_BODY))
    folder = tmp_path_factory.mktemp("floods")
    with serving_production(folder, *options, CLOCHE_API_KEYS=KEY) as server:
        server.key = KEY
        yield server


def memory(pid: int) -> float:
    """MiB that a process has now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.parametrize(("flood", "key"), CASES)
def test_a_flood_on_one_connection_keeps_nobody_waiting(
    server: Server, flood: str, key: str
) -> None:
    body, metadata = infer_request(), (("authorization", f"Bearer {KEY}"),)
    address = server.grpc_address()
    _, _, port = address.rpartition(":")
    livez, calls, peak, before = [], [], 0.0, memory(server.process.pid)
    command = [sys.executable, "-m", "tests.lifecycle.floods", flood, port, SECONDS, key]
    with grpc.insecure_channel(address) as channel, requests.Session() as session:
        infer = channel.unary_unary(INFER)
        infer(body, metadata=metadata, timeout=30)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sending:
            while sending.poll() is None:
                start = time.perf_counter()
                assert session.get(f"{server.url}/livez", timeout=30).status_code == 200
                between = time.perf_counter()
                infer(body, metadata=metadata, timeout=30)
                livez.append(between - start)
                calls.append(time.perf_counter() - between)
                peak = max(peak, memory(server.process.pid))
                time.sleep(0.01)
            sent, _ = sending.communicate()
    print(  # noqa: T201
        f"{flood:16} {key:5} livez {_seen(livez)}  call {_seen(calls)}  {len(calls)} calls  "
        f"{before:.0f}, at most {peak:.0f} MiB  {sent.strip()}"
    )
    assert sending.returncode == 0
    assert max(livez) < 5
    assert max(calls) < (30 if flood == "unlimited_blocks" else 5)  # 100 calls are before it
    assert peak - before < 1000  # grpcio holds headers that are too large for a while


def _seen(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f}, at most {max(seconds):.3f} s"
