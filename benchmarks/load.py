"""The load clients, wrk for HTTP/1.1 and h2load for gRPC over HTTP/2, and parsers of their reports.

Every request carries one row.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.place import Question

_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client"}
_SCRIPT = """
wrk.method = "POST"
{headers}
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The result of one run of a load client.

    Attributes:
        rate: The responses with status 200 per second.
        p50: The median latency of all responses in milliseconds.
        p99: The 99th percentile of the latency of all responses in milliseconds.
        failed: The number of responses with another status and of broken or timed out connections.
    """

    rate: float
    p50: float
    p99: float
    failed: int


def require(*clients: str) -> None:
    """Check that load clients are installed, before a long measurement begins.

    Raises:
        BenchmarkError: A client is not installed.
    """
    for client in clients:
        if shutil.which(client) is None:
            package = _PACKAGES[client]
            raise BenchmarkError(f"{client} is not installed. On Debian: apt-get install {package}")


def measure(
    url: str, question: Question, *, connections: int, seconds: int, scratch: Path
) -> Measurement:
    """Send the same request repeatedly with wrk; each connection waits for its response.

    Args:
        url: The URL of the server, without a path.
        question: The request.
        connections: The number of connections.
        seconds: The duration in seconds.
        scratch: A folder for the request body and for wrk's script.
    """
    body, script = scratch / "body.json", scratch / "ask.lua"
    body.write_bytes(question.body)
    headers = (f'wrk.headers["{name}"] = "{value}"' for name, value in question.headers.items())
    script.write_text(_SCRIPT.format(body=body, headers="\n".join(headers)))
    return wrk(url + question.path, "-s", str(script), connections=connections, seconds=seconds)


def wrk(address: str, *options: str, connections: int, seconds: int) -> Measurement:
    """Run wrk from one thread; without a script, it sends GET requests.

    Args:
        address: The URL that is requested.
        options: More options of wrk.
        connections: The number of connections.
        seconds: The duration in seconds.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
    report = subprocess.run(
        [*command, *options, address], capture_output=True, text=True, check=True
    )
    return read_report(report.stdout)


def measure_http2(
    url: str, question: Question, *, connections: int, streams: int, seconds: int, scratch: Path
) -> Measurement:
    """Send the same request repeatedly with h2load, over HTTP/2.

    h2load does not read trailers, where gRPC has its status. A failed call has no message, so the
    size of the response bodies shows whether they are predictions.

    Args:
        url: The URL of the server, without a path.
        question: The request.
        connections: The number of connections.
        streams: The number of concurrent requests on each connection.
        seconds: The duration in seconds.
        scratch: A folder for the request body and for h2load's log.
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
    """Parse the report and the log of h2load.

    Args:
        report: The text that h2load printed.
        log: The text of h2load's log file, one line for each request.
        seconds: The duration of the run in seconds.

    Raises:
        ValueError: The text is not a report of h2load.
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
    """Parse the report that wrk printed.

    Raises:
        ValueError: The text is not a report of wrk.
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
