"""What was measured of batch scoring, as records and as the file `batch-results.json`."""

import json
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from benchmarks.results import machine

_NAME = "batch-results.json"
_LIBRARIES = ("mlflow", "scikit-learn", "onnxruntime", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One table scored once.

    Attributes:
        seconds: Of the whole command, its start included.
        mebibytes: The most PSS of all processes together.
    """

    way: str
    format: str
    rows: int
    seconds: float
    mebibytes: float


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """What could not be measured, and why."""

    way: str
    format: str
    rows: int
    reason: str


@dataclass(slots=True)
class Results:
    """Everything that `python -m benchmarks.batch` measured."""

    machine: dict[str, str]
    versions: dict[str, str]
    runs: list[BatchRun] = field(default_factory=list)
    missing: list[Unmeasured] = field(default_factory=list)

    def forget(self, way: str, kind: str, rows: int) -> None:
        """Drop what was measured before of the same."""
        key = (way, kind, rows)
        self.runs = [one for one in self.runs if (one.way, one.format, one.rows) != key]
        self.missing = [one for one in self.missing if (one.way, one.format, one.rows) != key]


def read(folder: Path) -> Results:
    """What earlier calls measured on this machine with these versions; else nothing."""
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    here = machine()
    fresh = Results(here, versions)
    path = folder / _NAME
    if not path.exists():
        return fresh
    found = json.loads(path.read_text())
    if (found["machine"] | {"date": ""}, found["versions"]) != (here | {"date": ""}, versions):
        return fresh
    runs = [BatchRun(**one) for one in found["runs"]]
    return Results(here, versions, runs, [Unmeasured(**one) for one in found["missing"]])


def write(folder: Path, results: Results) -> None:
    """Keep them."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(results), indent=1, ensure_ascii=False)
    (folder / _NAME).write_text(text + "\n")
