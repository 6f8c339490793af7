"""Models of shipped recipes, trained with `cloche train`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import mlflow
from mlflow.models import Model

from benchmarks.row import Column, Row

_OURS = "오늘 저녁에 본 공연이 생각보다 훨씬 재미있어서 다음 주에 친구들과 또 가려고 합니다."
# Without the parameter search: its time limit would make the model depend on the machine.
OPTIONS: Final = {"flights": ("--set", "search.trials=1"), "comments": ()}


def register(recipe: str, source: Path | None) -> tuple[str, Row]:
    """Train a recipe as version 1.

    Args:
        recipe: The name of the recipe.
        source: The data to read instead of the recipe's own.

    Returns:
        The name of the registered model, and a row to predict.
    """
    data = ("--data", str(source)) if source else ()
    done = subprocess.run(
        [sys.executable, "-m", "cloche", "train", recipe, "--json", *OPTIONS[recipe], *data],
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    name = str(json.loads(done.stdout)["model"])
    if recipe == "comments":  # our own sentence: the data was written by others
        return name, Row((Column("text", "string", _OURS),))
    return name, _example(f"models:/{name}/1")


def _example(uri: str) -> Row:
    """Return the first row without a missing value in the version's input example."""
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    example = json.loads((folder / "serving_input_example.json").read_text())["dataframe_split"]
    values = next(row for row in example["data"] if None not in row)
    record = dict(zip(example["columns"], values, strict=True))
    schema = Model.load(folder).get_input_schema()
    return Row(tuple(Column(one.name, one.type.name, record[one.name]) for one in schema))
