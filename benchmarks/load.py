"""The client of every measurement: wrk, one row per request, and what the process tree takes."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of wrk. Latencies in milliseconds."""

    rate: float
    p50: float
    p99: float
    failures: int


def measure(url: str, body: Path, connections: int, seconds: int) -> Measurement:
    """Ask `url` for predictions on `connections` connections, without a pause.

    Raises:
        RuntimeError: wrk is not there.
    """
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is not installed. On Debian: apt-get install wrk")
    script = body.with_suffix(".lua")
    script.write_text(_SCRIPT.format(body=body))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
    report = subprocess.run(
        [*command, "-s", str(script), url], capture_output=True, text=True, check=True
    ).stdout
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    return Measurement(
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", report)[0]),
        p50=_milliseconds("50", report),
        p99=_milliseconds("99", report),
        failures=int(failed[1]) if failed else 0,
    )


def memory(parent: int) -> float:
    """MiB of a process and all below it; what they share is counted once."""
    total, waiting = 0, [parent]
    while waiting:
        process = waiting.pop()
        total += int(_found(r"Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text())[0])
        for task in Path(f"/proc/{process}/task").iterdir():
            waiting += map(int, (task / "children").read_text().split())
    return total / 1024


def _milliseconds(percentile: str, report: str) -> float:
    value, unit = _found(rf"\s{percentile}%\s+([\d.]+)(us|ms|s|m)\b", report)
    return float(value) * _UNITS[unit]


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"There is no {pattern} in:\n{text}")
    return match.groups()
