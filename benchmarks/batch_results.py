"""The measurements of batch scoring, as records and as the file `batch-results.json`."""

import json
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from benchmarks.results import machine

_NAME = "batch-results.json"
_LIBRARIES = ("mlflow", "scikit-learn", "onnxruntime", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True, slots=True)
class Task:
    """A table that is scored with a model in some way.

    Attributes:
        model: The name of the model in the store.
        way: The way of scoring, a key of `WAYS` in `benchmarks.batch_report`.
        format: The format of the input.
        rows: The number of rows.
    """

    model: str
    way: str
    format: str
    rows: int

    def is_same(self, other: "Task") -> bool:
        """Whether both measure the same."""
        return (self.model, self.way, self.format, self.rows) == (
            other.model, other.way, other.format, other.rows,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class BatchRun(Task):
    """The measurement of one table that was scored once.

    Attributes:
        seconds: The duration of the whole command, its start included.
        mebibytes: The highest total PSS of all processes, in MiB.
    """

    seconds: float
    mebibytes: float


@dataclass(frozen=True, slots=True)
class Unmeasured(Task):
    """A measurement that could not be made, and the reason."""

    reason: str


@dataclass(slots=True)
class Results:
    """All measurements of `python -m benchmarks.batch`."""

    machine: dict[str, str]
    versions: dict[str, str]
    runs: list[BatchRun] = field(default_factory=list)
    missing: list[Unmeasured] = field(default_factory=list)

    def forget(self, task: Task) -> None:
        """Delete earlier measurements of the same."""
        self.runs = [one for one in self.runs if not one.is_same(task)]
        self.missing = [one for one in self.missing if not one.is_same(task)]


def read(folder: Path) -> Results:
    """Return the earlier measurements on this machine with these versions, if there are any."""
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    here = machine()
    fresh = Results(here, versions)
    path = folder / _NAME
    if not path.exists():
        return fresh
    found = json.loads(path.read_text())
    if (found["machine"] | {"date": ""}, found["versions"]) != (here | {"date": ""}, versions):
        return fresh
    earlier = {"model": "twelve"}  # the only model before the results named it
    runs = [BatchRun(**earlier | one) for one in found["runs"]]
    missing = [Unmeasured(**earlier | one) for one in found["missing"]]
    return Results(here, versions, runs, missing)


def write(folder: Path, results: Results) -> None:
    """Write the measurements to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(results), indent=1, ensure_ascii=False)
    (folder / _NAME).write_text(text + "\n")
