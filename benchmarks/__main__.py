"""`python -m benchmarks`: every contender in turn, under load; writes tables."""

import argparse
import itertools
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import requests

from benchmarks import catalog, command, environments, load, report
from benchmarks.errors import NotBuilt, NotServing, NotTrained
from benchmarks.models.store import Trained, trained
from benchmarks.place import Contender, Place, Question
from benchmarks.processes import (
    Server,
    answers,
    free_port,
    mebibytes,
    path_of,
    running,
)
from benchmarks.results import Load, Missing, Run, Start, write

_START_SECONDS = 180.0
_WARM_UP = 8  # connections
_ANSWER_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Pair:
    """A model and a contender that serves it in a measurement.

    Attributes:
        model: The name of the model in the catalog.
        made: The trained model.
        name: The name of the contender.
        python: The interpreter of the contender's environment.
    """

    model: str
    made: Trained
    name: str
    python: Path


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--contenders", nargs="+", choices=catalog.CONTENDERS,
                        default=list(catalog.CONTENDERS))  # fmt: skip
    parser.add_argument("--models", nargs="+", choices=catalog.MODELS,
                        default=list(catalog.MODELS))  # fmt: skip
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 8, 64, 256])
    parser.add_argument("--rounds", type=int, default=3, help="of all contenders in turn")
    parser.add_argument("--seconds", type=int, default=3, help="per measurement")
    parser.add_argument("--warm-up", type=int, default=5, help="seconds of it after each start")
    command.add_options(parser)
    chosen = parser.parse_args()
    load.require("wrk")
    result = Load(
        chosen.seconds,
        chosen.rounds,
        {name: environments.versions(name) for name in chosen.contenders},
    )
    pythons = _pythons(chosen, result)
    models = _models(chosen, result)
    pairs = [
        Pair(model, made, name, python)
        for (model, made), (name, python) in itertools.product(models.items(), pythons.items())
    ]
    for _, pair in itertools.product(range(chosen.rounds), pairs):
        if any((one.model, one.contender) == (pair.model, pair.name) for one in result.missing):
            continue
        try:
            _measure(pair, chosen, result)
        except NotServing as error:
            _miss(result, Missing(pair.model, pair.name, str(error)))
    report.render(write(chosen.output, "load", result), chosen.output)


def _pythons(chosen: argparse.Namespace, result: Load) -> dict[str, Path]:
    """Return the interpreters of the contenders whose environment could be made."""
    found = {}
    for name in chosen.contenders:
        try:
            found[name] = environments.python_of(name, chosen.cache / "environments")
        except NotBuilt as error:
            for model in chosen.models:
                _miss(result, Missing(model, name, str(error)))
    return found


def _models(chosen: argparse.Namespace, result: Load) -> dict[str, Trained]:
    found = {}
    for name in chosen.models:
        try:
            found[name] = trained(name, chosen.cache / "models", chosen.comments)
        except NotTrained as error:
            for contender in chosen.contenders:
                result.missing.append(Missing(name, contender, str(error)))
            print(error, file=sys.stderr, flush=True)
    return found


def _miss(result: Load, missing: Missing) -> None:
    result.missing.append(missing)
    print(f"{missing.model} {missing.contender}: {missing.reason}", file=sys.stderr, flush=True)


def _measure(pair: Pair, chosen: argparse.Namespace, result: Load) -> None:
    """Start a contender once, and run the client once for each number of connections.

    Raises:
        NotServing: The contender did not start, or it ended under load.
    """
    model, name = pair.model, pair.name
    contender = catalog.CONTENDERS[name]
    question = contender.question(pair.made.row)
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(pair.python, pair.made.uri, free_port(), Path(scratch))
        url = f"http://127.0.0.1:{place.port}"
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": pair.made.registry,
            "XDG_CACHE_HOME": scratch,
            "PATH": path_of(pair.python),
        }
        log = Path(scratch) / "server.log"
        with running(contender.command(place), environment, log) as server:
            seconds, answer = _first_prediction(server, contender, url, question)
            print(f"{model} {name}: first prediction after {seconds:.1f} s", flush=True)
            if chosen.warm_up:
                load.measure(
                    url, question,
                    connections=_WARM_UP, seconds=chosen.warm_up, scratch=place.directory,
                )  # fmt: skip
            for connections in chosen.connections:
                one = load.measure(
                    url, question,
                    connections=connections, seconds=chosen.seconds, scratch=place.directory,
                )  # fmt: skip
                server.check()
                print(f"{model} {name} {connections}: {one}", flush=True)
                result.runs.append(
                    Run(model, name, connections, one.rate, one.p50, one.p99, one.failed)
                )
            result.starts.append(Start(model, name, seconds, mebibytes(server.pid), answer))


def _first_prediction(
    server: Server, contender: Contender, url: str, question: Question
) -> tuple[float, str]:
    """Wait for the first prediction.

    Returns:
        The seconds from the start to the prediction, and the beginning of the response body.
    """
    got: list[requests.Response] = []

    def predicts() -> bool:
        got.append(
            requests.post(
                url + question.path, question.body,
                headers={"content-type": "application/json"}, timeout=_START_SECONDS,
            )
        )  # fmt: skip
        return got[-1].ok

    server.wait_until(lambda: answers(url + contender.ready), _START_SECONDS)
    try:
        server.wait_until(predicts, 10.0)
    except NotServing as error:
        raise NotServing(f"{got[-1].status_code} {got[-1].text[:1000]}\n{error}") from error
    return server.age, got[-1].text[:_ANSWER_LENGTH]


if __name__ == "__main__":
    command.run(main)
