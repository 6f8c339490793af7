"""Runs the probe in a fresh process and reports how it ended: with a result, a crash, or a hang.

A failure caused by the model's code is a result. A failure caused by this machine is not: if memory
runs out, or Cloche's own code cannot be imported, nothing is known about the model.
"""

import json
import os
import signal
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from cloche.processes.child_variables import with_fix
from cloche.processes.machine_limits import more_memory
from cloche.registry.env_manager import NotBuilt
from cloche.registry.installed_packages import mismatches
from cloche.training.child_process import PROBE, Exit, run_module
from cloche.training.dataset.reading.parquet import write_parquet
from cloche.training.errors import NotMeasured
from cloche.training.evaluation.predictions import Predictions, TargetSpec
from cloche.training.gate.model_probe import EXIT_NO_RESOURCES
from cloche.training.measurements import Stage

_ACTIVITIES: dict[str, str] = {
    "load": "loading",
    "example": "answering the input example",
    "predict": "predicting the holdout",
    "latency": "predicting single rows",
}


@dataclass(frozen=True)
class ProbeResult:
    """The result of a probe: what a fresh process measured of a model.

    Attributes:
        failures: Stage → description of the failure.
        predictions: Predictions for the holdout, in its order; None if there are none.
        load_seconds: Seconds that loading took.
        latency_ms: Median time of one-row predictions, in milliseconds.
        mismatches: Differences between the process's environment and the one that the model was
            logged with.
        environment: Python and packages of the process.
    """

    failures: dict[Stage, str] = field(default_factory=dict)
    predictions: Predictions | None = None
    load_seconds: float | None = None
    latency_ms: float | None = None
    mismatches: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)


def probe(
    model: Path,
    holdout: pd.DataFrame,
    target: TargetSpec,
    *,
    target_column: str,
    features: Sequence[str] = (),
    output: str | None = None,
    latency: bool = True,
    timeout: float,
    extra_names: Sequence[str] = (),
    interpreter: Callable[[Path], str] = lambda _: "",
) -> ProbeResult:
    """Load a model in a new process and let it predict.

    Args:
        model: Folder of an MLflow model.
        holdout: Table of n rows with the columns that the model takes.
        target: Description of the target.
        target_column: Column that is never given to the model.
        features: Columns for a model without a signature; if empty, all except the target.
        output: Name of the output that is the prediction; None to find it by shapes and names.
        latency: Whether to measure the time of one-row predictions.
        timeout: Seconds after which the process is killed.
        extra_names: Additional environment variables for the model; see
            `cloche.processes.child_variables`.
        interpreter: Function from a model's folder to the interpreter of its environment; empty for
            the current interpreter.

    Raises:
        NotMeasured: The process could not do its work, for a reason that is not in the model.
        DataError: The holdout cannot be written for the process.
    """
    try:
        python = interpreter(model)
    except NotBuilt as error:
        raise NotMeasured(str(error)) from error
    differs = () if python else tuple(mismatches(model))
    task = {
        "model": str(model),
        "target": target_column,
        "features": list(features),
        "output": output,
        "latency": latency,
        "target_spec": {
            "task": target.task,
            "classes": target.classes,
            "positive": target.positive,
            "threshold": target.threshold,
            "answers": target.answers,
        },
    }
    with TemporaryDirectory(prefix="cloche-") as name:
        folder = Path(name)
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        write_parquet(holdout, folder / "holdout.parquet", "the holdout")
        ended = run_module(PROBE, folder, timeout, extra_names=extra_names, python=python)
        return replace(_result(folder, ended, target, extra_names), mismatches=differs)


def _result(
    folder: Path, ended: Exit, target: TargetSpec, extra_names: Sequence[str]
) -> ProbeResult:
    report = _report(folder)
    failures: dict[Stage, str] = dict(report.get("failures", {}))
    stage = report.get("stage")
    _require_measurement(stage, ended, report)
    if stage != "done":  # after it, all results are written, whatever exit handlers do
        doing = _ACTIVITIES.get(stage or "load")
        how = ended.description if ended.code != 0 else "the process ended itself"
        # Not after the stage `load`: by then the model has rows, and may have printed them.
        said = f": …{ended.tail}" if stage in (None, "load") and ended.code and ended.tail else ""
        failures[stage if doing and stage else "load"] = f"while {doing or 'ending'}: {how}{said}"
    predictions = None
    if (folder / "predictions.npz").exists() and "predict" not in failures:
        try:
            with np.load(folder / "predictions.npz") as arrays:
                predictions = Predictions(target, **dict(arrays))
        except (OSError, ValueError, TypeError, zipfile.BadZipFile):
            failures["predict"] = "its process left predictions that cannot be read"
    failures = {stage: with_fix(text, os.environ, extra_names) for stage, text in failures.items()}
    return ProbeResult(
        failures, predictions, report.get("load_seconds"), report.get("latency_ms"),
        environment=report.get("environment", {}),
    )  # fmt: skip


def _report(folder: Path) -> dict[str, Any]:
    """Read the probe's report; the model's code may have written anything in its place."""
    try:
        report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return {**report, "failures": dict(report["failures"])}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, OSError):
        return {"stage": "done", "failures": {"load": "its process left no readable report"}}


def _require_measurement(stage: str | None, ended: Exit, report: Mapping[str, Any]) -> None:
    """Check that the process could do its work, so that its result is one of the model.

    Raises:
        NotMeasured: The process could not, for a reason that is not in the model.
    """
    if stage == "done":
        return
    doing = f"while {_ACTIVITIES.get(stage or 'load', 'ending')}: "
    if ended.code == EXIT_NO_RESOURCES:
        raise NotMeasured(
            f"{doing}the machine has no more {report.get('exhausted', 'room')}; make room, and run "
            "the command again"
        )
    if ended.code == -signal.SIGKILL:
        raise NotMeasured(
            f"{doing}{ended.description}, as systems do it where memory runs out; {more_memory()}, "
            "or end what else runs here, and run the command again"
        )
    if stage is None and ended.in_current_environment and ended.code is not None:
        raise NotMeasured(
            f"the gate's own process does not start here: {ended.description}: …{ended.tail}; "
            "`cloche doctor` says what this installation lacks"
        )
