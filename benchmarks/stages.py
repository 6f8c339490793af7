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
from typing import Any, Final

import mlflow

from benchmarks import command, load
from benchmarks.features import features
from benchmarks.models import staged
from benchmarks.place import Question
from benchmarks.processes import free_port, serving

_SERVER: Final = Path(__file__).parent / "contenders" / "preparing_server.py"
_ONE, _STAGE, _BEFORE = "one model", "stage", "server before"

Ways = dict[str, str]  # the name of a way → the address of its server


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
    print(f"{'work':20}{'way':22}{'connections':>11}{'requests/s':>12}{'ratio':>8}{'p50 ms':>9}")
    for work in chosen.works:
        with WORKS[work](chosen, work) as (ways, row), tempfile.TemporaryDirectory() as scratch:
            body = json.dumps({"dataframe_records": [row]}).encode()
            question = Question("/invocations", body)
            for connections in chosen.connections:
                _compare(work, ways, connections, chosen, question, Path(scratch))


def _compare(
    work: str, ways: Ways, connections: int, chosen: argparse.Namespace, question: Question,
    scratch: Path,
) -> None:  # fmt: skip
    """Ask the ways in turn, in rounds of which the first warms up, and print medians."""
    found: dict[str, list[load.Measurement]] = {way: [] for way in ways}
    for _ in range(chosen.rounds + 1):
        for way, url in ways.items():
            one = load.measure(
                url, question, connections=connections, seconds=chosen.seconds, scratch=scratch
            )
            found[way].append(one)
    rates = {way: statistics.median(one.rate for one in all_[1:]) for way, all_ in found.items()}
    for way, all_ in found.items():
        p50, failed = (
            statistics.median(one.p50 for one in all_[1:]),
            sum(one.failed for one in all_),
        )
        ratio = rates[way] / next(iter(rates.values()))
        print(
            f"{work:20}{way:22}{connections:11}{rates[way]:12,.0f}{ratio:8.2f}{p50:9.2f}"
            + (f"  {failed} failed" if failed else ""), flush=True,
        )  # fmt: skip


@contextmanager
def _synthetic(chosen: argparse.Namespace, work: str) -> Iterator[tuple[Ways, dict[str, Any]]]:
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
        ways[_BEFORE] = _before(stack, Path(sys.executable), str(folder / staged.STAGE), alone, {})
        yield ways, staged.ROW


@contextmanager
def _looks_up(chosen: argparse.Namespace, _: str) -> Iterator[tuple[Ways, dict[str, Any]]]:
    """Run the example's stage on SQLite and on Redis, and its look-up in a server before."""
    with ExitStack() as stack:
        made = stack.enter_context(features(chosen.cache))
        own = ("--env-manager", "uv", "--cache-dir", str(chosen.cache / "hosts"))
        ways = {
            f"{_STAGE}, {store}": _cloche(stack, made.variables, model, *own)
            for store, model in made.models.items()
        }
        alone = _cloche(stack, made.variables, made.alone)
        for store, stage in made.stages.items():
            way = f"{_BEFORE}, {store}"
            ways[way] = _before(stack, made.python, stage, alone, made.variables)
        yield ways, made.row


def _cloche(stack: ExitStack, variables: dict[str, str], *arguments: str) -> str:
    """Start `cloche serve`, and return its address."""
    url, port = _address()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    line = [sys.executable, "-m", "cloche", "serve", *arguments, "--port", port]
    stack.enter_context(serving(line, variables, folder, f"{url}/readyz"))
    return url


def _before(
    stack: ExitStack, python: Path, stage: str, model: str, variables: dict[str, str]
) -> str:
    """Start a server that prepares rows before a model's server, and return its address."""
    url, port = _address()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    line = [str(python), str(_SERVER), str(stage), port, model]
    stack.enter_context(serving(line, variables, folder, f"{url}/readyz"))
    return url


def _address() -> tuple[str, str]:
    port = free_port()
    return f"http://127.0.0.1:{port}", str(port)


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


WORKS: Final[dict[str, Callable[[argparse.Namespace, str], Any]]] = {
    staged.COMPUTES: _synthetic,
    staged.WAITS_FOR_ROWS: _synthetic,
    staged.WAITS_FOR_BATCHES: _synthetic,
    "looks up": _looks_up,
}


if __name__ == "__main__":
    command.run(main)
