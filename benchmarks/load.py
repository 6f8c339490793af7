"""The clients of every measurement, one row per request, and how their reports are read.

wrk asks over HTTP/1.1; h2load asks over HTTP/2, with one frame of gRPC for a body.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import NoClient
from benchmarks.place import Question

_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SCRIPT = """
wrk.method = "POST"
{headers}
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run of wrk saw.

    Attributes:
        rate: Answers with status 200 per second.
        p50: Milliseconds; of every answer, as wrk counts them.
        p99: Likewise.
        failed: Answers with another status, and connections that broke or timed out.
    """

    rate: float
    p50: float
    p99: float
    failed: int


def require_client() -> None:
    """Notice early that wrk is missing.

    Raises:
        NoClient: It is.
    """
    if shutil.which("wrk") is None:
        raise NoClient("wrk is not installed. On Debian: apt-get install wrk")


def measure(
    url: str, question: Question, *, connections: int, seconds: int, scratch: Path
) -> Measurement:
    """Ask for predictions on `connections` connections for `seconds`, without a pause.

    Args:
        url: Of the server, without a path.
        question: What is asked, again and again.
        connections: How many clients ask at once; each waits for its answer.
        seconds: For how long.
        scratch: A folder for the body and the script that sends it.
    """
    body, script = scratch / "body.json", scratch / "ask.lua"
    body.write_bytes(question.body)
    headers = (f'wrk.headers["{name}"] = "{value}"' for name, value in question.headers.items())
    script.write_text(_SCRIPT.format(body=body, headers="\n".join(headers)))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
    report = subprocess.run(
        [*command, "-s", str(script), url + question.path],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return read_report(report)


def require_http2_client() -> None:
    """Notice early that h2load is missing.

    Raises:
        NoClient: It is.
    """
    if shutil.which("h2load") is None:
        raise NoClient("h2load is not installed. On Debian: apt-get install nghttp2-client")


def measure_http2(
    url: str, question: Question, *, connections: int, streams: int, seconds: int, scratch: Path
) -> Measurement:
    """Ask over HTTP/2, without a pause, for as long as `measure` does.

    Args:
        url: Of the server, without a path.
        question: What is asked, again and again.
        connections: How many there are.
        streams: How many requests each carries at once.
        seconds: For how long.
        scratch: A folder for the body and the log.

    h2load does not read trailers, where gRPC has its status: a refusal has no body, so the size of
    the answers tells whether they are predictions.
    """
    body, log = scratch / "body.grpc", scratch / "h2load.log"
    body.write_bytes(question.body)
    log.unlink(missing_ok=True)
    headers = [f"--header={name}: {value}" for name, value in question.headers.items()]
    done = subprocess.run(
        ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", "-d", str(body),
         f"--log-file={log}", *headers, url + question.path],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return read_http2_report(done, log.read_text(), seconds)


def read_http2_report(report: str, log: str, seconds: int) -> Measurement:
    """What h2load printed, and what it wrote of every request.

    Raises:
        ValueError: It is not a report of h2load.
    """
    succeeded, failed = map(int, _found(r"(\d+) succeeded, (\d+) failed", report))
    (data,) = _found(r"\((\d+)\) data", report)
    if not succeeded or not int(data):
        return Measurement(0.0, 0.0, 0.0, succeeded + failed)
    waits = sorted(
        int(line.split("\t")[2]) / 1000 for line in log.splitlines() if line.count("\t") >= 2
    )
    return Measurement(
        rate=succeeded / seconds,
        p50=waits[len(waits) // 2],
        p99=waits[min(len(waits) - 1, len(waits) * 99 // 100)],
        failed=failed,
    )


def read_report(report: str) -> Measurement:
    """What wrk printed.

    Raises:
        ValueError: It is not a report of wrk.
    """
    requests, duration, unit = _found(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h)\b", report)
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    refused = int(other[1]) if other else 0
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report
    )
    return Measurement(
        rate=(int(requests) - refused) / (float(duration) * _SECONDS[unit]),
        p50=_milliseconds("50", report),
        p99=_milliseconds("99", report),
        failed=refused + (sum(map(int, broken.groups())) if broken else 0),
    )


def _milliseconds(percentile: str, report: str) -> float:
    value, unit = _found(rf"\s{percentile}%\s+([\d.]+)(us|ms|s|m|h)\b", report)
    return float(value) * _MILLISECONDS[unit]


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"There is no {pattern} in:\n{text}")
    return match.groups()
