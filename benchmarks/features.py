"""The example of features by key, with a stage on SQLite and one on Redis."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow

from benchmarks.environments import content_key, environment_of
from benchmarks.errors import NotBuilt
from benchmarks.processes import free_port, path_of, running

_EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "features_by_key"
_MONTH: Final = ("--from", "2013-01-01", "--to", "2013-01-31")
_DAY: Final = ("2013-01-14T00:00", "2013-01-14T23:59")
_MODEL: Final = "flight-delay-by-key"
# An online store → the repository, and the number of the stage and of the model behind it.
STORES: Final = {"SQLite": ("feature_repo", "1"), "Redis": ("redis_repo", "2")}
ROW: Final[dict[str, Any]] = {
    "carrier": "UA", "flight": 1497, "origin": "EWR", "destination": "IAH", "hour": "2013-01-14T05",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Features:
    """The folder of the example, with a registry, and the interpreter that has Feast."""

    folder: Path
    python: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that name the registry."""
        return {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}"}

    @property
    def client(self) -> mlflow.MlflowClient:
        """A client of the registry."""
        return mlflow.MlflowClient(*self.variables.values(), *self.variables.values())

    def stage(self, store: str) -> str:
        """Return the URI of the stage on a store."""
        return f"models:/flight-features/{STORES[store][1]}"

    def model(self, store: str) -> str:
        """Return the URI of the model behind that stage."""
        return f"models:/{_MODEL}/{STORES[store][1]}"

    def alone(self) -> str:
        """Return the URI of the model without a stage."""
        return f"model={self.client.get_model_version_download_uri(_MODEL, '1')}"

    def run(self, program: str, *arguments: str) -> None:
        """Run a program, of Feast's environment unless it is Cloche.

        Raises:
            NotBuilt: It failed.
        """
        programs = Path(sys.executable if program == "cloche" else self.python).parent
        done = subprocess.run(
            [str(programs / program), *arguments], cwd=self.folder, capture_output=True, text=True,
            env=os.environ | self.variables | {"PATH": path_of(programs / "python")}, check=False,
        )  # fmt: skip
        if done.returncode:
            raise NotBuilt(f"{program} {arguments[0]} failed: {done.stderr.strip()[-2000:]}")


@contextmanager
def features(root: Path) -> Iterator[Features]:
    """Make the example in a folder of `root` unless it is there, and run Redis during the block.

    Raises:
        NotBuilt: The environment or the example cannot be made.
    """
    requirements = (_EXAMPLE / "requirements.txt").read_text().split()
    python = environment_of("feast", requirements, root.resolve() / "environments")
    texts = [one.read_text() for one in sorted(_EXAMPLE.rglob("*.[pty][yx]*"))]
    made = Features(root.resolve() / f"features-{content_key(texts)}", python)
    if not (made.folder / "complete").exists():
        _make(made)
    port = free_port()
    line = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with running(line, os.environ, made.folder / "redis.log"):
        config = made.folder / "feature_repo" / "feature_store.yaml"
        store = f'type: redis, connection_string: "127.0.0.1:{port}"'
        text = config.read_text().replace("type: sqlite, path: data/online.db", store)
        (made.folder / "redis_repo" / config.name).write_text(text)
        for repo, _ in STORES.values():
            made.run("feast", "--chdir", repo, "materialize", *_DAY)
        yield made


def _make(made: Features) -> None:
    """Copy the example, fill its tables, train its model and register a stage for each store."""
    print("making the stores of features", flush=True)
    shutil.rmtree(made.folder, ignore_errors=True)
    shutil.copytree(_EXAMPLE, made.folder)
    made.run("cloche", "sample", "flights", "flights.csv", *_MONTH)
    made.run("python", "sources.py", "flights.csv", "feature_repo/data")
    shutil.copytree(made.folder / "feature_repo", made.folder / "redis_repo")
    for repo, _ in STORES.values():  # a version names its repository, and not the online store
        made.run("feast", "--chdir", repo, "apply")
        made.run("python", "log_stage.py", repo)
    made.run("python", "training_table.py", "feature_repo", "training.parquet")
    made.run("cloche", "train", "recipe.yaml")
    made.client.create_model_version(
        _MODEL, made.client.get_model_version_download_uri(_MODEL, "1")
    )
    for store, (_, number) in STORES.items():
        made.client.set_model_version_tag(_MODEL, number, "cloche.before", made.stage(store))
    (made.folder / "complete").touch()
