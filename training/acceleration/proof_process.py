"""Makes a twin in a separate process, which loads the version as a model host does.

That process receives none of the command's secrets. It may run in the environment that the version
was logged with: a pipeline of another scikit-learn version often does not load in the current
environment, and if it does, the proof is not valid for the environment that serves it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from cloche.training.acceleration.original_model import load_original
from cloche.training.acceleration.proof.equivalence import Proof
from cloche.training.acceleration.proof.stored_twin import (
    DOCUMENT_FILE,
    FOLDER,
    GRAPH_FILE,
    ProvenTwin,
)
from cloche.training.acceleration.proven_twin import PROOF_SECONDS, make_proven_twin
from cloche.training.child_process import PROOF, run_module
from cloche.training.dataset.reading.parquet import read_parquet, write_parquet
from cloche.training.errors import TrainingError, TwinRefused
from cloche.values.redaction import describe_error

_LOAD_SECONDS = 300.0  # time to import and to load the model, in addition to the proof's time
PROCESS = "cloche-twin"
_TASK, _ROWS, _OUTCOME = "task.json", "rows.parquet", "outcome.json"


def make_twin_in_process(
    model: Path, rows: pd.DataFrame, *, extra_names: Sequence[str] = (), python: str = ""
) -> ProvenTwin:
    """Make a proven twin of a stored version.

    Raises:
        TwinRefused: There is no proven twin; the message gives the reason.
        TrainingError: The version cannot be loaded, or its process ended early, so that it is
            unknown whether it can have a twin.
        DataError: The rows cannot be written for the process.
    """
    with TemporaryDirectory(prefix="cloche-") as name:
        folder = Path(name)
        (folder / _TASK).write_text(json.dumps({"model": str(model)}), encoding="utf-8")
        write_parquet(rows, folder / _ROWS, "the rows to prove it on")
        seconds = PROOF_SECONDS + _LOAD_SECONDS
        ended = run_module(PROOF, folder, seconds, extra_names=extra_names, python=python)
        try:
            outcome = json.loads((folder / _OUTCOME).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            outcome = {}
        if not outcome or "begun" in outcome:
            # Once the model has received rows, the output of its process may contain some of them.
            said = f": …{ended.tail}" if ended.tail and not outcome else ""
            raise TrainingError(f"nothing is known of a twin: {ended.description}{said}")
        if "refused" in outcome:
            raise TwinRefused(outcome["refused"])
        if "failed" in outcome:
            raise TrainingError(f"it cannot be loaded: {outcome['failed']}")
        document = json.loads((folder / FOLDER / DOCUMENT_FILE).read_text(encoding="utf-8"))
        graph = (folder / FOLDER / GRAPH_FILE).read_bytes()
        return ProvenTwin(graph, document, Proof(**outcome["proof"]))


def work(folder: Path) -> None:
    """Make the twin that the task file in `folder` describes."""
    task = json.loads((folder / _TASK).read_text(encoding="utf-8"))
    _write(folder, _outcome(Path(task["model"]), folder))


def _write(folder: Path, outcome: dict[str, object]) -> None:
    (folder / _OUTCOME).write_text(json.dumps(outcome), encoding="utf-8")


def _outcome(model: Path, folder: Path) -> dict[str, object]:
    rows = read_parquet(folder / _ROWS)
    try:
        original = load_original(model)
    except TwinRefused as refusal:
        return {"refused": str(refusal)}
    except Exception as error:  # noqa: BLE001 - a model's own code may raise anything
        return {"failed": describe_error(error, rows)}
    _write(folder, {"begun": True})
    try:
        twin = make_proven_twin(original, rows)
    except TwinRefused as refusal:
        return {"refused": str(refusal)}
    twin.write(folder / FOLDER)
    return {"proof": asdict(twin.proof)}
