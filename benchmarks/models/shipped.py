"""Models of shipped recipes, trained by Cloche as a user would."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import mlflow
from mlflow.models import Model

from benchmarks.row import Column, Row

_OURS = "오늘 저녁에 본 공연이 생각보다 훨씬 재미있어서 다음 주에 친구들과 또 가려고 합니다."
# The shipped parameters without the search, whose bound in seconds would make the model depend on
# the machine that trains it.
OPTIONS: Final = {"flights": ("--set", "search.trials=1"), "comments": ()}


def register(recipe: str, source: Path | None) -> tuple[str, Row]:
    """Train the recipe as version 1; the registered name, and a row to ask for.

    Args:
        recipe: Its name.
        source: What to read instead of what the recipe says.
    """
    data = ("--data", str(source)) if source else ()
    done = subprocess.run(
        [sys.executable, "-m", "cloche", "train", recipe, "--json", *OPTIONS[recipe], *data],
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    name = str(json.loads(done.stdout)["model"])
    if recipe == "comments":  # a sentence of ours: the data's are other people's
        return name, Row((Column("text", "string", _OURS),))
    return name, _example(f"models:/{name}/1")


def _example(uri: str) -> Row:
    """The first row of the version's input example in which no value is missing."""
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    example = json.loads((folder / "serving_input_example.json").read_text())["dataframe_split"]
    values = next(row for row in example["data"] if None not in row)
    record = dict(zip(example["columns"], values, strict=True))
    schema = Model.load(folder).get_input_schema()
    return Row(tuple(Column(one.name, one.type.name, record[one.name]) for one in schema))
