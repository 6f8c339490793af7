"""A user's folder that is full of modules which must not be imported, and models with their own."""

import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

from tests import warm
from tests.online import Server, serving
from tests.shell import environment

HERE = Path(__file__).parent
# What Cloche is called, what its folders are called, what Python itself imports early and late.
NAMES = (
    "cloche.py", "training/__init__.py", "serving/__init__.py", "tests/__init__.py", "utils.py",
    "types.py", "queue.py", "logging.py", "typing.py", "json.py", "re.py", "mlflow.py", "numpy.py",
    "pandas.py", "click.py", "uvicorn.py",
)  # fmt: skip
POLICY = """
task: regression
target: y
metrics: [mae]
data: {source: table.csv}
gate: {minimum: {r2: 0.5}}
"""


def fill(folder: Path) -> None:
    """Put modules there that fail when somebody imports them."""
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"raise ImportError('this {name} is nobody else\\'s business')\n")


def save_version(folder: Path, number: int) -> Path:
    """A model that answers 10 * `number` * a + 1, by modules that travel with it."""
    for name, text in {
        "training/__init__.py": "",
        "training/features.py": f"FACTOR = {10 * number}\n",
        "serving/__init__.py": "",
        "serving/rules.py": "SHIFT = 1\n",
        "utils.py": "def scaled(value, factor):\n    return value * factor\n",
        "queue.py": "",
        "types.py": "",
    }.items():
        path = folder / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    script = str(HERE / "users_model.py")
    subprocess.run([warm.python(), script, str(folder)], check=True, capture_output=True)
    return folder / "model"


@dataclass
class User:
    """Somebody who works in a folder with the commands of an installation."""

    programs: Path
    folder: Path
    variables: Mapping[str, str]

    def run(self, *arguments: str) -> str:
        """What a command prints; it must end well."""
        done = subprocess.run(
            [str(self.programs / "cloche"), *arguments], cwd=self.folder,
            env=environment() | dict(self.variables), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def register(self, *models: Path) -> None:
        """Register these as versions of `m`."""
        client = MlflowClient(self.variables["MLFLOW_TRACKING_URI"])
        client.create_registered_model("m")
        for model in models:
            client.create_model_version("m", source=str(model))
        rows = pd.DataFrame({"a": [float(at) for at in range(200)]})
        rows.to_csv(self.folder / "rows.csv", index=False)
        rows.assign(y=15 * rows["a"] + 1).to_csv(self.folder / "table.csv", index=False)
        (self.folder / "gate.yaml").write_text(POLICY)

    def promote(self, version: int) -> None:
        """Have the gate judge a version of `m` and promote it."""
        self.run("promote", "m", "--version", str(version), "--policy", "gate.yaml")

    def point(self, alias: str, version: int) -> None:
        """Move an alias of `m` without a gate."""
        client = MlflowClient(self.variables["MLFLOW_TRACKING_URI"])
        client.set_registered_model_alias("m", alias, str(version))

    def score(self, *options: str) -> list[float]:
        """The answers of a batch job for the rows 0 to 199."""
        self.run("score", "models:/m@production", "rows.csv", "scores.csv", "--overwrite", *options)
        return pd.read_csv(self.folder / "scores.csv").iloc[:, -1].tolist()

    def serving(self, *options: str) -> AbstractContextManager[Server]:
        """A server of what is in production."""
        return serving(
            "models:/m@production", *options, directory=self.folder,
            environment=self.variables, program=self.programs / "cloche",
        )  # fmt: skip
