"""The store of trained models: a folder for each, named by a hash of all that determines it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from benchmarks.environments import content_key
from benchmarks.errors import NotTrained
from benchmarks.row import Row, read

_PROJECT = Path(__file__).parents[2]
_LIBRARIES = ("mlflow", "numpy", "pandas", "scikit-learn", "skops")
COMMENTS: Final = Path("../shared/data/korean_comments.txt")  # the path in the recipe


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model in a registry of its own.

    Attributes:
        registered: The name of the registered model.
        registry: The tracking URI of the registry.
        row: The row to predict.
    """

    registered: str
    registry: str
    row: Row

    @property
    def uri(self) -> str:
        """The model URI that servers serve."""
        return f"models:/{self.registered}@production"


def trained(name: str, root: Path, comments: Path = COMMENTS) -> Trained:
    """Return a model, and train it if it is not in the store.

    Args:
        name: The name of the model in the benchmarks' catalog.
        root: The folder of the store.
        comments: The data of the recipe `comments`, which cannot be shipped.

    Raises:
        NotTrained: The data is missing, or training failed.
    """
    if name == "comments" and not comments.is_file():
        raise NotTrained(
            f"{comments} is not there. Get the data from "
            "https://github.com/2runo/Curse-detection-data and name it with --comments."
        )
    source = (comments.resolve(),) if name == "comments" else ()
    folder = root / f"{name}-{content_key([*_ingredients(), *map(str, source)])}"
    registry = f"sqlite:///{folder / 'mlflow.db'}"
    done = folder / "registered.json"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"training {name}", flush=True)
        ended = subprocess.run(
            [sys.executable, "-m", "benchmarks.models", name, *map(str, source)],
            cwd=folder, check=False,
            env=os.environ | {"MLFLOW_TRACKING_URI": registry, "PYTHONPATH": str(_PROJECT)},
        )  # fmt: skip
        if ended.returncode:
            raise NotTrained(f"Training {name} ended with code {ended.returncode}; it said why.")
    return Trained(json.loads(done.read_text()), registry, read(folder / "row.json"))


def _ingredients() -> Iterator[str]:
    """Iterate over the texts of all code that trains models, and the versions of the libraries."""
    for folder in ("benchmarks/models", "training"):
        for path in sorted((_PROJECT / folder).rglob("*")):
            if path.suffix in (".py", ".yaml"):
                yield path.read_text()
    yield from (f"{name}=={metadata.version(name)}" for name in _LIBRARIES)
