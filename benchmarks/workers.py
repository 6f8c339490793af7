"""`python -m benchmarks.workers`: what each kind of process of `cloche serve --workers N` costs.

Machines with many cores are rare, and their load clients would need many, too. This counts the
processor time that each kind of process takes for a request, which depends little on the number of
cores, and what the parent, which all workers share, takes for each second. From these follows what
a machine with more cores can answer: its cores by the time of a worker and a host for a request.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import catalog, command, load
from benchmarks.models.store import Trained, trained
from benchmarks.place import Place
from benchmarks.processes import free_port, mebibytes, serving, tree

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_IDLE_SECONDS: Final = 10.0
_SETTLED: Final = 0.05  # share of a core that hosts take when all models are loaded behind twins
_SETTLE_SECONDS: Final = 120.0
_FRONT, _PARENT, _HOSTS = "front", "parent", "hosts"


class Cost(NamedTuple):
    """What a server costs.

    Attributes:
        rate: The requests per second.
        busy: Kind of process → microseconds of processor time for a request.
        idle: Kind of process → milliseconds of processor time for a second without requests.
        memory: The PSS of all processes in MiB.
    """

    rate: float
    busy: dict[str, float]
    idle: dict[str, float]
    memory: float


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--connections", type=int, default=64, help="for each worker")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    command.add_options(parser)
    chosen = parser.parse_args()
    load.require("wrk")
    made = trained("twelve", chosen.cache / "models", chosen.comments)
    print("           requests/s  microseconds for a request  milliseconds for an idle second")
    print("workers                  fronts  hosts  parent           fronts  hosts  parent    MiB")
    for workers in chosen.workers:
        cost = _measure(made, workers, chosen)
        busy, idle = (
            "  ".join(f"{each[kind]:6.1f}" for kind in (_FRONT, _HOSTS, _PARENT))
            for each in (cost.busy, cost.idle)
        )
        print(f"{workers:7}  {cost.rate:10,.0f}  {busy}           {idle}  {cost.memory:5.0f}")


def _measure(made: Trained, workers: int, chosen: argparse.Namespace) -> Cost:
    contender = catalog.CONTENDERS["cloche"]
    question = contender.question(made.row)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        place = Place(Path(sys.executable), made.uri, free_port(), folder)
        url = f"http://127.0.0.1:{place.port}"
        line = [*contender.command(place), "--workers", str(workers)]
        variables = {"MLFLOW_TRACKING_URI": made.registry}
        with serving(line, variables, folder, url + contender.ready) as server:
            server.wait_until(lambda: _is_settled(server.pid, workers), _SETTLE_SECONDS)
            idle = _seconds(server.pid, workers, lambda: time.sleep(_IDLE_SECONDS))
            rates: list[float] = []
            busy: list[dict[str, float]] = []

            def ask() -> None:
                got = load.measure(
                    url, question, connections=workers * chosen.connections, seconds=chosen.seconds,
                    scratch=folder,
                )  # fmt: skip
                rates.append(got.rate)

            ask()  # warms up
            for _ in range(chosen.rounds):
                taken = _seconds(server.pid, workers, ask)
                requests = rates[-1] * chosen.seconds
                busy.append({kind: 1e6 * one / requests for kind, one in taken.items()})
            return Cost(
                statistics.median(rates[1:]),
                {kind: statistics.median(one[kind] for one in busy) for kind in busy[0]},
                {kind: 1e3 * one / _IDLE_SECONDS for kind, one in idle.items()},
                mebibytes(server.pid),
            )


def _is_settled(server: int, workers: int) -> bool:
    return _seconds(server, workers, lambda: time.sleep(1.0))[_HOSTS] < _SETTLED


def _seconds(server: int, workers: int, act: Callable[[], object]) -> dict[str, float]:
    """Return the processor time in seconds that each kind of process takes while `act` runs."""
    before = _processor_times(server, workers)
    act()
    after = _processor_times(server, workers)
    return {kind: after[kind] - before[kind] for kind in after}


def _processor_times(server: int, workers: int) -> dict[str, float]:
    seconds = dict.fromkeys((_FRONT, _HOSTS, _PARENT), 0.0)
    for pid in tree(server):
        with suppress(OSError):  # it has ended
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            seconds[_kind(pid, server, workers)] += (int(fields[11]) + int(fields[12])) / _TICKS
    return seconds


def _kind(pid: int, server: int, workers: int) -> str:
    """Return the kind of a process; those of the fork server and the registry count as hosts."""
    if pid == server:
        return _FRONT if workers == 1 else _PARENT
    return _FRONT if b"server.worker" in Path(f"/proc/{pid}/cmdline").read_bytes() else _HOSTS


if __name__ == "__main__":
    command.run(main)
