"""The example of features by key, with its stage on SQLite and on Redis, in Feast's environment."""

import os
import shutil
import subprocess
import sys
import tempfile
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
_MATERIALIZED: Final = ("materialize", "2013-01-14T00:00", "2013-01-14T23:59")
_STAGE, _MODEL = "flight-features", "flight-delay-by-key"
# The first version of the model is served alone.
_VERSIONS: Final = {"SQLite": ("1", "2"), "Redis": ("2", "3")}


@dataclass(frozen=True, slots=True)
class Features:
    """What was made, in a registry of its own.

    Attributes:
        python: The interpreter that has Feast.
        variables: The environment variables that name the registry.
        row: The row of keys to ask for.
        alone: The model without a stage.
        stages: Name of an online store → the stage that looks up there.
        models: Name of an online store → the model behind that stage.
    """

    python: Path
    variables: dict[str, str]
    row: dict[str, Any]
    alone: str
    stages: dict[str, str]
    models: dict[str, str]


@contextmanager
def features(root: Path) -> Iterator[Features]:
    """Make the example in a folder of `root` unless it is there, and run Redis during the block.

    Raises:
        NotBuilt: The environment or the example cannot be made.
    """
    requirements = (_EXAMPLE / "requirements.txt").read_text().split()
    python = environment_of("feast", requirements, root / "environments")
    texts = [one.read_text() for one in sorted(_EXAMPLE.rglob("*")) if one.suffix in _READ]
    folder = root.resolve() / f"features-{content_key(texts)}"
    variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    with tempfile.TemporaryDirectory() as scratch:
        port, redis = free_port(), folder / "redis_repo"
        line = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        with running(line, os.environ, Path(scratch) / "redis.log"):
            if not (folder / "complete").exists():
                _make(folder, python, variables)
            text = (folder / "feature_repo" / "feature_store.yaml").read_text()
            store = f'type: redis, connection_string: "127.0.0.1:{port}"'
            text = text.replace("type: sqlite, path: data/online.db", store)
            (redis / "feature_store.yaml").write_text(text)
            for repo in (folder / "feature_repo", redis):
                _run(folder, python, variables, "feast", "--chdir", str(repo), *_MATERIALIZED)
            yield Features(
                python, variables,
                {"carrier": "UA", "flight": 1497, "origin": "EWR", "destination": "IAH",
                 "hour": "2013-01-14T05"},
                f"models:/{_MODEL}/1",
                {name: f"models:/{_STAGE}/{stage}" for name, (stage, _) in _VERSIONS.items()},
                {name: f"models:/{_MODEL}/{model}" for name, (_, model) in _VERSIONS.items()},
            )  # fmt: skip


_READ: Final = (".py", ".yaml", ".txt")


def _make(folder: Path, python: Path, variables: dict[str, str]) -> None:
    """Copy the example, fill its tables, train its model and register a stage for each store."""
    print("making the stores of features", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(_EXAMPLE, folder)
    repos = {name: folder / name for name in ("feature_repo", "redis_repo")}
    for line in (
        ("cloche", "sample", "flights", "flights.csv", *_MONTH),
        ("python", "sources.py", "flights.csv", str(repos["feature_repo"] / "data")),
    ):
        _run(folder, python, variables, *line)
    shutil.copytree(repos["feature_repo"], repos["redis_repo"])
    for repo in repos.values():  # versions name their repository, not its online store
        _run(folder, python, variables, "feast", "--chdir", str(repo), "apply")
        _run(folder, python, variables, "python", "log_stage.py", str(repo))
    for line in (
        ("python", "training_table.py", str(repos["feature_repo"]), "training.parquet"),
        ("cloche", "train", "recipe.yaml"),
    ):
        _run(folder, python, variables, *line)
    client = mlflow.MlflowClient(*[variables["MLFLOW_TRACKING_URI"]] * 2)
    source = client.get_model_version(_MODEL, "1").source
    for stage, _ in _VERSIONS.values():
        made = client.create_model_version(_MODEL, source)
        uri = f"models:/{_STAGE}/{stage}"
        client.set_model_version_tag(_MODEL, made.version, "cloche.before", uri)
    (folder / "complete").touch()


def _run(folder: Path, python: Path, variables: dict[str, str], program: str, *rest: str) -> None:
    """Run a program, one of Feast's environment unless it is Cloche.

    Raises:
        NotBuilt: It failed.
    """
    programs = Path(sys.executable if program == "cloche" else python).parent
    done = subprocess.run(
        [str(programs / program), *rest], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | variables | {"PATH": path_of(programs / "python")},
    )  # fmt: skip
    if done.returncode:
        raise NotBuilt(f"{program} {rest[0]} failed: {done.stderr.strip()[-2000:]}")
