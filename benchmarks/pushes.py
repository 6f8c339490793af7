"""`python -m benchmarks.pushes`.

How soon a promotion is followed, where an MLflow server pushes it and where Cloche polls for it.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mlflow
from cryptography.fernet import Fernet

from benchmarks import catalog, command
from benchmarks.models.store import Trained, trained
from benchmarks.place import Place, Question
from benchmarks.processes import free_port, mlflow_server, serving
from benchmarks.swaps import answering_version, two_versions

_PATIENCE = 300.0
_POLL_SECONDS = 2.0  # the default of `cloche serve`
_SECRET = "benchmark"  # noqa: S105  # between two servers on loopback
_WAYS = {"poll": ("--poll-interval", str(_POLL_SECONDS)), "push": ("--poll-interval", "3600")}


@dataclass(frozen=True, slots=True)
class Followed:
    """The delays after one request to move the alias.

    Attributes:
        noticed: The seconds until the server begins to load the version.
        answered: The seconds until the first response of the version.
    """

    noticed: float
    answered: float


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pushes", description=__doc__)
    parser.add_argument("--model", choices=catalog.MODELS, default="twelve")
    parser.add_argument("--promotions", type=int, default=10)
    command.add_options(parser)
    chosen = parser.parse_args()
    made = trained(chosen.model, chosen.cache / "models", chosen.comments)
    with (
        tempfile.TemporaryDirectory() as scratch,
        mlflow_server(
            two_versions(made, Path(scratch)),
            Path(scratch),
            MLFLOW_WEBHOOK_ALLOWED_SCHEMES="http",
            MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
            MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=Fernet.generate_key().decode(),
            MLFLOW_WEBHOOK_CACHE_TTL="1",
        ) as (_, url),
    ):
        print("way   noticed after (median, most)   answered after (median, most)")
        for way in _WAYS:
            with tempfile.TemporaryDirectory() as folder:
                found = follow(way, made, url, Path(folder), chosen.promotions)
            noticed, answered = [one.noticed for one in found], [one.answered for one in found]
            print(
                f"{way}  {statistics.median(noticed):9.3f} s {max(noticed):9.3f} s"
                f"            {statistics.median(answered):9.3f} s {max(answered):9.3f} s"
            )


def follow(way: str, made: Trained, url: str, scratch: Path, promotions: int) -> list[Followed]:
    """Measure the delays of promotions, at random moments between two polls.

    Args:
        way: How the server learns of a promotion, a key of `_WAYS`.
        made: The trained model.
        url: The URL of the MLflow server.
        scratch: An empty folder for the log and the cache.
        promotions: The number of promotions.
    """
    contender, client = catalog.CONTENDERS["cloche"], mlflow.MlflowClient(url)
    place = Place(Path(sys.executable), made.uri, free_port(), scratch)
    address, log = f"http://127.0.0.1:{place.port}", scratch / "server.log"
    variables = {"MLFLOW_TRACKING_URI": url, "CLOCHE_WEBHOOK_SECRET": _SECRET}
    line, question = [*contender.command(place), *_WAYS[way]], contender.question(made.row)
    with serving(line, variables, scratch, address + contender.ready) as server:
        if way == "push":
            client.create_webhook(
                way, f"{address}/webhooks/registry", ["model_version_alias.created"],
                secret=_SECRET,
            )  # fmt: skip
        found = []
        for number in range(promotions):
            time.sleep(_POLL_SECONDS * (1 + random.random()))  # noqa: S311  # no secret
            loads = _loads(log)
            started = time.monotonic()
            client.set_registered_model_alias(made.registered, "production", str(2 - number % 2))
            server.wait_until(partial(_loaded_since, log, loads), _PATIENCE)
            noticed = time.monotonic() - started
            version = str(2 - number % 2)
            server.wait_until(partial(_answers_with, version, address, question), _PATIENCE)
            found.append(Followed(noticed, time.monotonic() - started))
        return found


def _loads(log: Path) -> int:
    return log.read_text().count("Loading.")


def _loaded_since(log: Path, before: int) -> bool:
    return _loads(log) > before


def _answers_with(version: str, address: str, question: Question) -> bool:
    return answering_version(address, question) == version


if __name__ == "__main__":
    command.run(main)
