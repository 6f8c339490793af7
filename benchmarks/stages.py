"""`python -m benchmarks.stages`: a stage, one model that does both, and a server before the model.

The ways of one work run at the same time and are asked in turn, so that their ratios are those of
the same minutes. It prints only.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

import mlflow

from benchmarks import command, load
from benchmarks.features import ROW, STORES, features
from benchmarks.models import staged
from benchmarks.place import Question
from benchmarks.processes import free_port, mebibytes, serving

_SERVER: Final = Path(__file__).parent / "contenders" / "preparing_server.py"
_ONE, _STAGE, _BEFORE = "one model", "stage", "server before"


class Way(NamedTuple):
    """A server, and those that it needs.

    Attributes:
        url: The address that is asked.
        processes: The process ids of all servers of this way.
    """

    url: str
    processes: tuple[int, ...]


Ways = dict[str, Way]


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    command.add_options(parser)
    chosen = parser.parse_args()
    load.require("wrk")
    print(_machine())
    print(
        f"{'work':18}{'way':23}{'connections':>11}{'requests/s':>11}{'ratio':>7}{'p50 ms':>9}  MiB"
    )
    for work in chosen.works:
        with WORKS[work](chosen.cache, work) as (ways, row):
            body = json.dumps({"dataframe_records": [row]}).encode()
            for connections in chosen.connections:
                found = _measured(ways, Question("/invocations", body), connections, chosen)
                for way, one in found.items():
                    ratio = one.rate / next(iter(found.values())).rate
                    memory = sum(map(mebibytes, ways[way].processes))
                    print(
                        f"{work:18}{way:23}{connections:11}{one.rate:11,.0f}{ratio:7.2f}"
                        f"{one.p50:9.2f}{memory:5.0f}"
                        + f"  {one.failed} failed"
                        * (one.failed > 0),
                        flush=True,
                    )


def _measured(
    ways: Ways, question: Question, connections: int, chosen: argparse.Namespace
) -> dict[str, load.Measurement]:
    """Ask the ways in turn, in rounds of which the first warms up; return medians."""
    runs: dict[str, list[load.Measurement]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(chosen.rounds + 1):
            for name, way in ways.items():
                one = load.measure(
                    way.url, question, connections=connections, seconds=chosen.seconds,
                    scratch=Path(scratch),
                )  # fmt: skip
                runs[name].append(one)
    return {
        name: load.Measurement(
            statistics.median(one.rate for one in counted),
            statistics.median(one.p50 for one in counted),
            statistics.median(one.p99 for one in counted),
            sum(one.failed for one in counted),
        )
        for name, (_, *counted) in runs.items()
    }


@contextmanager
def _synthetic(_: Path, work: str) -> Iterator[tuple[Ways, dict[str, Any]]]:
    """Run every way for a work of `staged`; one that waits has four replicas of its stage."""
    replicas = 1 if work == staged.COMPUTES else 4
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
        client = mlflow.MlflowClient(*[variables["MLFLOW_TRACKING_URI"]] * 2)
        for part in (staged.STAGE, staged.MODEL, staged.BOTH):
            staged.save(folder / part, part, work)
            client.create_registered_model(part)
            client.create_model_version(part, str(folder / part))
        client.set_model_version_tag(staged.MODEL, "1", "cloche.before", "models:/stage/1")
        ways = {_ONE: _cloche(stack, variables, "models:/both/1")}
        if replicas > 1:
            many = ("--replicas", str(replicas))
            ways[f"{_ONE}, {replicas} times"] = _cloche(stack, variables, "models:/both/1", *many)
        shares = ("--replicas", f"1,stage={replicas}")
        ways[_STAGE] = _cloche(stack, variables, "models:/model/1", *shares)
        alone = _cloche(stack, {}, f"model={folder / staged.MODEL}")
        ways[_BEFORE] = _before(stack, {}, Path(sys.executable), str(folder / staged.STAGE), alone)
        yield ways, staged.ROW


@contextmanager
def _looks_up(cache: Path, _: str) -> Iterator[tuple[Ways, dict[str, Any]]]:
    """Run the example's stage on SQLite and on Redis, and its look-up in a server before."""
    with ExitStack() as stack:
        made = stack.enter_context(features(cache))
        own = ("--env-manager", "uv", "--cache-dir", str(cache / "hosts"))
        ways = {
            f"{_STAGE}, {store}": _cloche(stack, made.variables, made.model(store), *own)
            for store in STORES
        }
        alone = _cloche(stack, made.variables, made.alone())
        for store in STORES:
            ways[f"{_BEFORE}, {store}"] = _before(
                stack, made.variables, made.python, made.stage(store), alone
            )
        yield ways, ROW


def _cloche(stack: ExitStack, variables: dict[str, str], *arguments: str) -> Way:
    """Start `cloche serve`."""
    port = free_port()
    line = [sys.executable, "-m", "cloche", "serve", *arguments, "--port", str(port)]
    return _started(stack, variables, line, port)


def _before(
    stack: ExitStack, variables: dict[str, str], python: Path, stage: str, model: Way
) -> Way:
    """Start a server that prepares rows before a model's server."""
    port = free_port()
    line = [str(python), str(_SERVER), stage, str(port), model.url]
    way = _started(stack, variables, line, port)
    return Way(way.url, way.processes + model.processes)


def _started(stack: ExitStack, variables: dict[str, str], line: list[str], port: int) -> Way:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    url = f"http://127.0.0.1:{port}"
    server = stack.enter_context(serving(line, variables, folder, f"{url}/readyz"))
    return Way(url, (server.pid,))


def _machine() -> str:
    """Return the hardware and the versions that the figures hang on."""
    text = Path("/proc/cpuinfo").read_text()
    names = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("model name")]
    named = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("cloche", "mlflow", "fastapi", "uvicorn")
    )
    cores = os.cpu_count()
    busy = os.getloadavg()[0]
    return (
        f"{cores} cores of {names[0] if names else platform.machine()}, load {busy:.1f}; "
        f"Python {platform.python_version()}, {named}"
    )


WORKS: Final[dict[str, Callable[[Path, str], Any]]] = {
    staged.COMPUTES: _synthetic,
    staged.WAITS_FOR_ROWS: _synthetic,
    staged.WAITS_FOR_BATCHES: _synthetic,
    "looks up": _looks_up,
}


if __name__ == "__main__":
    command.run(main)
