"""Runs the probe in a fresh process and tells what became of it: a result, a crash, or a hang."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from cloche import launch, supervisor
from cloche.env_manager import NotBuilt
from cloche.environment import explained, for_models
from cloche.requirements import mismatches
from cloche.training.evaluation.predictions import Predictions, Target
from cloche.training.gate.measurements import Stage

_DOING: dict[str, str] = {
    "load": "loading",
    "example": "answering the input example",
    "predict": "predicting the holdout",
    "latency": "predicting single rows",
}
_TAIL_CHARACTERS = 300


@dataclass(frozen=True)
class Probed:
    """What a fresh process saw of a model.

    Attributes:
        failures: stage → what went wrong.
        predictions: for the holdout, in its order; None if there are none.
        load_seconds: how long loading took.
        latency_ms: median of one-row predictions, in milliseconds.
        differs: in what its environment is not the one that the model was logged with.
        environment: Python and packages of that process.
    """

    failures: dict[Stage, str] = field(default_factory=dict)
    predictions: Predictions | None = None
    load_seconds: float | None = None
    latency_ms: float | None = None
    differs: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)


def probe(
    model: Path,
    holdout: pd.DataFrame,
    target: Target,
    *,
    target_column: str,
    features: Sequence[str] = (),
    output: str | None = None,
    timeout: float,
    widened: Sequence[str] = (),
    interpreter: Callable[[Path], str] = lambda _: "",
) -> Probed:
    """Load a model in a new process and let it predict.

    Args:
        model: folder of an MLflow model.
        holdout: n rows with the columns that the model takes.
        target: what is predicted.
        target_column: the column that is never handed to the model.
        features: columns for a model without a signature; empty for all but the target.
        output: which of several outputs is the prediction; None to tell by what they look like.
        timeout: seconds until the process is killed.
        widened: variables that the model gets besides; see `cloche.environment`.
        interpreter: of the environment for a model's folder; empty for the one here.
    """
    try:
        python = interpreter(model)
    except NotBuilt as error:
        return Probed({"load": str(error)})
    differs = () if python else tuple(mismatches(model))
    task = {
        "model": str(model),
        "target": target_column,
        "features": list(features),
        "output": output,
        "asked": {
            "task": target.task,
            "classes": target.classes,
            "positive": target.positive,
            "threshold": target.threshold,
        },
    }
    with TemporaryDirectory(prefix="cloche-") as name:
        folder = Path(name)
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        holdout.to_parquet(folder / "holdout.parquet", index=False)
        ending = _run(folder, timeout, widened, python)
        return replace(_result(folder, ending, target, widened), differs=differs)


def _run(folder: Path, timeout: float, widened: Sequence[str], python: str) -> str | None:
    """Run the probe; how it ended otherwise than well, None if it ended well."""
    variables = {
        **for_models(os.environ, widened),
        "PYTHONDONTWRITEBYTECODE": "1",  # none into the model's folder
        "MLFLOW_LOGGING_LEVEL": "ERROR",
    }
    with (folder / "output.txt").open("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(  # noqa: S603 - our own module, in our own interpreter
            launch.command("cloche.training.gate", str(folder), python=python),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            return f"no answer within {timeout:g} s"
        finally:
            supervisor.end(process)
        if code == 0:
            return None
        output.seek(0)
        said = "" if _has_rows(folder) else " ".join(output.read()[-_TAIL_CHARACTERS:].split())
    return f"{_exit(code)}{': …' + said if said else ''}"


def _has_rows(folder: Path) -> bool:
    """Whether the model was shown rows, which it may have printed."""
    report = folder / "report.json"
    return report.exists() and json.loads(report.read_text(encoding="utf-8"))["stage"] != "load"


def _exit(code: int) -> str:
    if code >= 0:
        return f"the process ended with code {code}"
    return f"the process was killed by {signal.Signals(-code).name}"


def _result(folder: Path, ending: str | None, target: Target, widened: Sequence[str]) -> Probed:
    path = folder / "report.json"
    report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    failures: dict[Stage, str] = report.get("failures", {})
    stage = report.get("stage", "load")
    if ending is None and stage != "done":
        ending = "the process ended itself"
    if ending is not None:
        doing = _DOING.get(stage)
        failures[stage if doing else "load"] = f"while {doing or 'ending'}: {ending}"
    failures = {stage: explained(text, os.environ, widened) for stage, text in failures.items()}
    predictions = None
    if (folder / "predictions.npz").exists() and "predict" not in failures:
        with np.load(folder / "predictions.npz") as arrays:
            predictions = Predictions(target, **dict(arrays))
    return Probed(
        failures, predictions, report.get("load_seconds"), report.get("latency_ms"),
        environment=report.get("environment", {}),
    )  # fmt: skip
