"""Loads a model, and changes settings of its framework that no environment variable controls.

Used by model hosts, batch workers and the gate. `serving/processes/thread_limits.py` sets those
that variables control.
"""

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel, load_model

from cloche.serving.processes import thread_limits

_MODEL_CONFIG = "SERVING_MODEL_CONFIG"  # the variable that `mlflow models serve` reads, too


def load(path: Path) -> PyFuncModel:
    """Load the model at `path` as MLflow's own server does.

    Raises:
        Exception: Any error of MLflow or the model's code while loading.
    """
    # some flavors read this variable
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    if "onnx" in Model.load(str(path)).flavors:
        _size_onnxruntime()
    # warnings suppressed: `mismatches` reports unmet requirements, and faster
    model = load_model(str(path), suppress_warnings=True, **_model_config())
    _silence_keras()
    return model


def _model_config() -> dict[str, Any]:
    """Read the model's configuration from the variable that MLflow's own server uses.

    Raises:
        ValueError: The variable holds no JSON object.
    """
    text = os.environ.get(_MODEL_CONFIG)
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        problem = f'{_MODEL_CONFIG} must be a JSON object, such as {{"temperature": 0.5}}.'
        raise ValueError(problem)  # noqa: TRY004  # the variable's value is wrong, not a type
    return {"model_config": found}


@cache
def _size_onnxruntime() -> None:
    """Set the default number of threads of onnxruntime's sessions to this process's share.

    onnxruntime reads no variable: every replica would have a spinning thread for each core.
    """
    import onnxruntime  # noqa: PLC0415  # installed only for models of one flavor

    class Sized(onnxruntime.SessionOptions):  # type: ignore[misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.intra_op_num_threads = thread_limits.share()
            self.add_session_config_entry("session.intra_op.allow_spinning", "0")

    onnxruntime.SessionOptions = Sized


def _silence_keras() -> None:
    """Turn off the progress bar of each prediction, which would write a line to the log."""
    if keras := sys.modules.get("keras"):
        keras.config.disable_interactive_logging()
