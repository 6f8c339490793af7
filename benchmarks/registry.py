"""`python -m benchmarks.registry`.

How often commands ask a large registry, and how long they take: one MLflow server with one worker
on SQLite. A command's time has its start and imports in it, which the first line shows alone. It
prints only.
"""

import argparse
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path

import mlflow

from benchmarks import command
from benchmarks.processes import answers, free_port, running

_PATIENCE = 300.0
_CLOCHE = Path(sys.executable).with_name("cloche")
_IMPORTS = "from mlflow import MlflowClient; import cloche.training.promotion.promote"
_ASKED = re.compile(rb'"(?:GET|POST|PATCH|PUT|DELETE) /api/')
_TABLES = ("registered_models", "model_versions", "registered_model_aliases", "model_version_tags")
_TAGS = {
    "cloche.gate": "passed",
    "cloche.digest": "0" * 64,
    "cloche.promoted_at": "2026-11-24T12:00:00+00:00",
    "cloche.promoted_by": "somebody",
    "cloche.recipe": "flights",
}
_LISTING = (
    "from mlflow import MlflowClient; "
    "from cloche.registry.version_listing import versions_with_alias; "
    "print(len(versions_with_alias(MlflowClient(), 'production')))"
)


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.registry", description=__doc__)
    parser.add_argument("--models", type=int, default=1000, help="registered models")
    parser.add_argument("--versions", type=int, default=10, help="of each model")
    parser.add_argument("--rounds", type=int, default=3, help="of all commands in turn")
    chosen = parser.parse_args()
    lines: dict[str, list[str]] = {
        "nothing but the imports": [sys.executable, "-c", _IMPORTS],
        "cloche status": [str(_CLOCHE), "status"],
        "cloche status m1": [str(_CLOCHE), "status", "m1"],
        "cloche promote m1, with nothing to do": [
            *(str(_CLOCHE), "promote", "m1", "--version", str(chosen.versions - 1))
        ],
        "cloche rollback m2, as a promotion writes": [str(_CLOCHE), "rollback", "m2"],
        "a poll of serve --all": [sys.executable, "-c", _LISTING],
    }
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in lines}
    with (
        tempfile.TemporaryDirectory() as scratch,
        registry(Path(scratch), chosen.models, chosen.versions) as (url, log),
    ):
        environment = os.environ | {"MLFLOW_TRACKING_URI": url}
        for _ in range(chosen.rounds):
            for name, line in lines.items():
                found[name].append(asked(line, environment, log))
    print(
        f"{chosen.models:,} models of {chosen.versions} versions; {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}, MLflow {version('mlflow')}"
    )
    print(f"{'medians':44} calls  seconds")
    for name, runs in found.items():
        calls = statistics.median(calls for calls, _ in runs)
        print(f"{name:44} {calls:5.0f}  {statistics.median(seconds for _, seconds in runs):7.2f}")


@contextmanager
def registry(folder: Path, models: int, versions: int) -> Iterator[tuple[str, Path]]:
    """Run an MLflow server with one worker on SQLite; yield its URL and the file of its log."""
    database, port, log = folder / "mlflow.db", free_port(), folder / "mlflow.log"
    fill(database, models, versions)
    line = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    store = ["--backend-store-uri", f"sqlite:///{database}"]
    with running([*line, *store], os.environ, log) as server:
        server.wait_until(lambda: answers(f"{url}/health"), _PATIENCE)
        yield url, log


def fill(database: Path, models: int, versions: int) -> None:
    """Register a model, promoted as its last version but one, and copy its rows for the others."""
    store = f"sqlite:///{database}"
    client = mlflow.MlflowClient(store, store)
    client.create_registered_model("m0")
    for _ in range(versions):
        client.create_model_version("m0", source="/nowhere", tags=_TAGS)
    serving, before = str(versions - 1), str(versions - 2)
    for alias, number in (("production", serving), ("previous", before)):
        client.set_registered_model_alias("m0", alias, number)
    with closing(sqlite3.connect(database)) as rows:
        for table in _TABLES:
            columns = [column[1] for column in rows.execute(f"PRAGMA table_info({table})")]
            copied = ", ".join("?" if column == "name" else column for column in columns)
            copy = f"INSERT INTO {table} SELECT {copied} FROM {table} WHERE name = 'm0'"  # noqa: S608
            rows.executemany(copy, [(f"m{number}",) for number in range(1, models)])
        rows.execute("UPDATE model_versions SET current_stage = 'Production' WHERE version = ?",
                     (serving,))  # fmt: skip
        rows.commit()


def asked(line: list[str], environment: dict[str, str], log: Path) -> tuple[int, float]:
    """Run a command; return the number of its requests to the server, and its seconds."""
    before, started = len(_ASKED.findall(log.read_bytes())), time.monotonic()
    subprocess.run(line, env=environment, stdout=subprocess.DEVNULL, check=True)
    seconds = time.monotonic() - started
    return len(_ASKED.findall(log.read_bytes())) - before, seconds


if __name__ == "__main__":
    command.run(main)
