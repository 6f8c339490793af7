"""`python -m benchmarks.swaps`.

What clients feel while versions change, how long a change takes, and what stays in memory.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import requests

from benchmarks import catalog, command, load, report
from benchmarks.models.store import Trained, trained
from benchmarks.place import Place, Question
from benchmarks.processes import Server, free_port, mebibytes, serving, tree
from benchmarks.results import write

_PATIENCE = 300.0
_WINDOWS_BEFORE = 3


@dataclass(frozen=True, slots=True)
class Swaps:
    """All measurements of one call.

    Attributes:
        model: The name of the model in the catalog.
        connections: The number of connections of the client.
        seconds: The duration of each window in seconds.
        before: The windows without swaps.
        during: The windows during swaps, which follow each other without a pause.
        delays: The seconds from each move of the alias to the first response of the new version.
        mebibytes_after_3: The PSS of the whole server after three versions, in MiB.
        mebibytes_at_end: The PSS of the whole server after all swaps, in MiB.
    """

    model: str
    connections: int
    seconds: int
    before: list[load.Measurement]
    during: list[load.Measurement]
    delays: list[float]
    mebibytes_after_3: float
    mebibytes_at_end: float


@dataclass(frozen=True, slots=True)
class BenchServer:
    """A running `cloche serve`, and the client of the registry that it follows.

    Attributes:
        server: The process of the server.
        url: The URL of the server, without a path.
        question: The request for one prediction.
        model: The name of the registered model.
        client: The client of the registry.
        processes: The number of processes while one version is loaded.
    """

    server: Server
    url: str
    question: Question
    model: str
    client: mlflow.MlflowClient
    processes: int

    def swap(self, version: str) -> float:
        """Move the alias; return the seconds until the first response of `version`."""
        started = time.monotonic()
        self.client.set_registered_model_alias(self.model, "production", version)
        self.server.wait_until(
            lambda: answering_version(self.url, self.question) == version, _PATIENCE
        )
        return time.monotonic() - started

    def settled_mebibytes(self) -> float:
        """Return the PSS in MiB after the model hosts of old versions have ended."""
        self.server.wait_until(lambda: len(tree(self.server.pid)) <= self.processes, _PATIENCE)
        return mebibytes(self.server.pid)


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swaps", description=__doc__)
    parser.add_argument("--model", choices=catalog.MODELS, default="twelve")
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=10, help="per window")
    command.add_options(parser)
    chosen = parser.parse_args()
    load.require("wrk")
    made = trained(chosen.model, chosen.cache / "models", chosen.comments)
    with tempfile.TemporaryDirectory() as scratch, made_models(made, Path(scratch)) as one:

        def window() -> load.Measurement:
            measured = load.measure(
                one.url, one.question, connections=chosen.connections, seconds=chosen.seconds,
                scratch=Path(scratch),
            )  # fmt: skip
            print(measured, flush=True)
            return measured

        for version in ("2", "1"):
            one.swap(version)
        after_3 = one.settled_mebibytes()
        before = [window() for _ in range(_WINDOWS_BEFORE)]
        with ThreadPoolExecutor(1) as thread:
            swapping = thread.submit(
                lambda: [one.swap(str(2 - number % 2)) for number in range(chosen.swaps)]
            )
            during = []
            while not swapping.done():
                during.append(window())
            delays = swapping.result()
        result = Swaps(
            chosen.model, chosen.connections, chosen.seconds, before, during, delays, after_3,
            one.settled_mebibytes(),
        )  # fmt: skip
    report.render(write(chosen.output, "swaps", result), chosen.output)


def answering_version(url: str, question: Question) -> str:
    """Return the version that answers a prediction."""
    answer = requests.post(url + question.path, question.body, headers=question.headers, timeout=30)
    return answer.headers["x-model-version"]


def two_versions(made: Trained, scratch: Path) -> str:
    """Copy the registry of `made`, and add a second version of the same model; return its URI."""
    registry = scratch / "mlflow.db"
    shutil.copyfile(made.registry.removeprefix("sqlite:///"), registry)
    uri = f"sqlite:///{registry}"
    client = mlflow.MlflowClient(uri)
    first = client.get_model_version(made.registered, "1")
    client.create_model_version(
        made.registered, source=str(first.source), run_id=first.run_id, tags=first.tags
    )
    return uri


@contextmanager
def made_models(made: Trained, scratch: Path) -> Iterator[BenchServer]:
    """Run a server of `made` on a copy of its registry with a second version of the model."""
    uri = two_versions(made, scratch)
    client = mlflow.MlflowClient(uri)
    contender = catalog.CONTENDERS["cloche"]
    place = Place(Path(sys.executable), made.uri, free_port(), scratch)
    url = f"http://127.0.0.1:{place.port}"
    variables = {"MLFLOW_TRACKING_URI": uri}
    with serving(contender.command(place), variables, scratch, url + contender.ready) as server:
        yield BenchServer(
            server, url, contender.question(made.row), made.registered, client,
            processes=len(tree(server.pid)),
        )  # fmt: skip


if __name__ == "__main__":
    command.run(main)
