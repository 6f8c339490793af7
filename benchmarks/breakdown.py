"""`python -m benchmarks.breakdown`: where the microseconds of a request go.

One client asks a real server whose functions note the time; each stage is the time between two
notes, so that the stages of a request add up to what the client waited.
"""

import argparse
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import catalog, command, report, tracing
from benchmarks.errors import NotServing
from benchmarks.marks import MARKS
from benchmarks.models.store import trained
from benchmarks.place import Question
from benchmarks.processes import free_port, serving
from benchmarks.results import write

_WARM_UP = 200
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage in the processing of a request, with its mean duration."""

    process: str
    name: str
    microseconds: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The measured stages, as means over a number of requests."""

    model: str
    requests: int
    stages: list[Stage]


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.breakdown", description=__doc__)
    parser.add_argument("--model", choices=catalog.MODELS, default="twelve")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--option", action="append", default=[], metavar="OPTION",
                        help="of cloche serve, like --option=--replicas=2")  # fmt: skip
    command.add_options(parser)
    chosen = parser.parse_args()
    made = trained(chosen.model, chosen.cache / "models", chosen.comments)
    contender = catalog.CONTENDERS["cloche"]
    question = contender.question(made.row)
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        traced = [
            *(sys.executable, "-m", tracing.__name__, "front", scratch),
            *("serve", made.uri, "--port", str(port), *chosen.option),
        ]
        variables = {"MLFLOW_TRACKING_URI": made.registry}
        with serving(traced, variables, folder, f"http://127.0.0.1:{port}{contender.ready}"):
            waits = ask(port, question, _WARM_UP + chosen.requests)[_WARM_UP:]
        ways = list(tracing.chains(tracing.read(folder)))
    found = stages(waits, ways)
    for one in found:
        print(f"{one.process:8}{one.name:28}{one.microseconds:9.1f} µs")
    result = Breakdown(chosen.model, chosen.requests, found)
    report.render(write(chosen.output, "breakdown", result), chosen.output)


def ask(port: int, question: Question, count: int) -> list[tuple[int, int]]:
    """Send a request `count` times on one connection.

    Returns:
        The times at which each request was sent and answered, in nanoseconds.

    Raises:
        NotServing: The status of a response is not 200.
    """
    head = (
        f"POST {question.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(question.body)}\r\n\r\n"
    )
    message = head.encode() + question.body
    waits = []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            sent = time.perf_counter_ns()
            connection.sendall(message)
            answer = _whole_answer(connection)
            waits.append((sent, time.perf_counter_ns()))
            if not answer.startswith(b"HTTP/1.1 200"):
                raise NotServing(answer.decode(errors="replace"))
    return waits


def stages(waits: Sequence[tuple[int, int]], ways: Sequence[list[int]]) -> list[Stage]:
    """Return the mean duration of each stage, over the middle half of the requests by duration.

    Args:
        waits: The times at which the client sent each request and had its response, in nanoseconds.
        ways: The times at which requests passed each mark; other clients' requests may be included.

    Raises:
        ValueError: No request passed all marks between its sending and its response.
    """
    lines = []
    remaining = iter(sorted(ways))
    way = next(remaining, None)
    for sent, answered in sorted(waits):
        while way is not None and way[0] < sent:
            way = next(remaining, None)
        if way is not None and way[0] <= answered:
            # The last mark, the return from writing, may come after the client has the response.
            lines.append([sent, *way, max(answered, way[-1])])
    if not lines:
        raise ValueError("No request passed all marks; see benchmarks/marks.py.")
    lines.sort(key=lambda line: line[-1] - line[0])
    middle = lines[len(lines) // 4 : max(1, len(lines) * 3 // 4)]
    names = [(mark.process, mark.stage) for mark in MARKS] + [("client", "wake the client")]
    return [
        Stage(process, name, statistics.fmean(line[i + 1] - line[i] for line in middle) / 1000)
        for i, (process, name) in enumerate(names)
    ]


def _whole_answer(connection: socket.socket) -> bytes:
    received = connection.recv(_CHUNK)
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += connection.recv(_CHUNK)
    lines = received[:end].lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    while len(received) < end + 4 + length:
        received += connection.recv(_CHUNK)
    return received


if __name__ == "__main__":
    command.run(main)
