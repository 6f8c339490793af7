"""`python -m benchmarks.pushes`.

How soon a promotion is followed, where an MLflow server pushes it and where Cloche polls for it.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mlflow
import requests
from cryptography.fernet import Fernet

from benchmarks import catalog, command
from benchmarks.models.store import Trained, trained
from benchmarks.place import Place, Question
from benchmarks.processes import answers, free_port, running
from benchmarks.swaps import two_versions

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
        registry(two_versions(made, Path(scratch)), Path(scratch)) as url,
    ):
        print("way   noticed after (median, most)   answered after (median, most)")
        for way in _WAYS:
            found = follow(way, made, url, Path(scratch), chosen.promotions)
            noticed, answered = [one.noticed for one in found], [one.answered for one in found]
            print(
                f"{way}  {statistics.median(noticed):9.3f} s {max(noticed):9.3f} s"
                f"            {statistics.median(answered):9.3f} s {max(answered):9.3f} s"
            )


@contextmanager
def registry(store: str, scratch: Path) -> Iterator[str]:
    """Run an MLflow server that may send webhooks to loopback; yield its URL."""
    port = free_port()
    line = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    variables = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "MLFLOW_WEBHOOK_CACHE_TTL": "1",
    }
    url, log = f"http://127.0.0.1:{port}", scratch / "mlflow.log"
    with running([*line, "--backend-store-uri", store], os.environ | variables, log) as server:
        server.wait_until(lambda: answers(f"{url}/health"), _PATIENCE)
        yield url


def follow(way: str, made: Trained, url: str, scratch: Path, promotions: int) -> list[Followed]:
    """Measure the delays of promotions, at random moments between two polls.

    Args:
        way: How the server learns of a promotion, a key of `_WAYS`.
        made: The trained model.
        url: The URL of the MLflow server.
        scratch: A folder for logs and the cache.
        promotions: The number of promotions.
    """
    contender, client = catalog.CONTENDERS["cloche"], mlflow.MlflowClient(url)
    place = Place(Path(sys.executable), made.uri, free_port(), scratch)
    address, log = f"http://127.0.0.1:{place.port}", scratch / f"{way}.log"
    variables = {
        "MLFLOW_TRACKING_URI": url,
        "CLOCHE_WEBHOOK_SECRET": _SECRET,
        "XDG_CACHE_HOME": str(scratch),
    }
    line, question = [*contender.command(place), *_WAYS[way]], contender.question(made.row)
    with running(line, os.environ | variables, log) as server:
        server.wait_until(lambda: answers(address + contender.ready), _PATIENCE)
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
    headers = {"content-type": "application/json"}
    answer = requests.post(address + question.path, question.body, headers=headers, timeout=30)
    return answer.headers["x-model-version"] == version


if __name__ == "__main__":
    command.run(main)
