"""`python -m benchmarks.lookups`.

How many of Cloche's polls an MLflow server answers per second: what one look at an alias, and one
look at all models, costs a server with one worker on SQLite. It prints only.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import mlflow

from benchmarks import command
from benchmarks.load import require, wrk
from benchmarks.processes import mlflow_server, tree
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import parse

_THREADS = 4  # of the client that queries as Cloche does
_TICKS = os.sysconf("SC_CLK_TCK")
# The tags that a promotion writes beside the alias: every response contains them.
_TAGS = {
    "cloche.gate": "passed",
    "cloche.gate_run_id": "0" * 32,
    "cloche.digest": "0" * 64,
    "cloche.accelerated": "onnx",
    "cloche.accelerated_digest": "0" * 64,
    "cloche.promoted_at": "2026-11-24T12:00:00+00:00",
    "cloche.promoted_by": "somebody",
    "cloche.recipe": "flights",
    "cloche.task": "classification",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one kind of call.

    Attributes:
        rate: The answered calls per second.
        server: The CPU time of the server for one call, in milliseconds.
    """

    rate: float
    server: float


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lookups", description=__doc__)
    parser.add_argument("--models", type=int, default=20, help="registered models")
    parser.add_argument("--connections", type=int, default=16, help="of wrk")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="each way in turn")
    chosen = parser.parse_args()
    require("wrk")
    with (
        tempfile.TemporaryDirectory() as scratch,
        mlflow_server(filled(scratch, chosen.models), Path(scratch)) as (server, url),
    ):
        resolver, uri = Resolver(lambda: mlflow.MlflowClient(url, url)), parse("models:/m0@x")
        ways: dict[str, Callable[[], float]] = {
            "one alias, by the registry process": lambda: asked(
                lambda: resolver.resolve(uri), chosen.seconds
            ),
            f"{chosen.models} models, by the registry process": lambda: asked(
                lambda: resolver.versions_with_alias("x"), chosen.seconds
            ),
            "one alias, the same request by wrk": lambda: replayed(
                url, chosen.connections, chosen.seconds
            ),
        }
        # Warm-up: in its first calls, each thread of the server connects to the database.
        replayed(url, 64, chosen.seconds)
        found: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(chosen.rounds):
            for name, ask in ways.items():
                found[name].append(cost(server.pid, ask, chosen.seconds))
    print(f"{'medians':44} calls/s   ms of the server's CPU per call")
    for name, costs in found.items():
        rate = statistics.median(one.rate for one in costs)
        print(f"{name:44} {rate:7,.0f}   {statistics.median(one.server for one in costs):5.2f}")


def filled(folder: str, models: int) -> str:
    """Return the URI of a new registry of models with three versions.

    The last version of each has the tags and alias of a promotion.
    """
    store = f"sqlite:///{folder}/mlflow.db"
    client = mlflow.MlflowClient(store, store)  # a server accepts no version without a run
    for number in range(models):
        name = f"m{number}"
        client.create_registered_model(name)
        for _ in range(3):
            made = client.create_model_version(name, source=f"/nowhere/{name}", tags=_TAGS)
        client.set_registered_model_alias(name, "x", made.version)
    return store


def cost(server: int, ask: Callable[[], float], seconds: int) -> Cost:
    """Measure the cost of calls.

    Args:
        server: The process id of the server.
        ask: A function that makes calls for about `seconds`, and returns the calls per second.
        seconds: The duration of `ask` in seconds.
    """
    before = cpu(server)
    rate = ask()
    return Cost(rate, 1000 * (cpu(server) - before) / max(1.0, rate * seconds))


def cpu(server: int) -> float:
    """Return the CPU seconds that a process and all its descendants have used."""
    ticks = 0
    for pid in tree(server):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def asked(call: Callable[[], object], seconds: int) -> float:
    """Call a function repeatedly from a few threads; return the calls per second."""
    counts, end = [0] * _THREADS, time.monotonic() + seconds

    def ask(at: int) -> None:
        while time.monotonic() < end:
            call()
            counts[at] += 1

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def replayed(url: str, connections: int, seconds: int) -> float:
    """Repeat the HTTP request for an alias with wrk; return the responses per second."""
    query = urlencode({"name": "m0", "alias": "x"})
    address = f"{url}/api/2.0/mlflow/registered-models/alias?{query}"
    return wrk(address, connections=connections, seconds=seconds).rate


if __name__ == "__main__":
    command.run(main)
