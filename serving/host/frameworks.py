"""Loads a model, and tells its framework what that learns from no variable.

Used by model hosts and by the workers of batch jobs. What a variable can say is in `threads.py`.
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

_MODEL_CONFIG = "SERVING_MODEL_CONFIG"  # `mlflow models serve` reads it


def load(path: Path) -> PyFuncModel:
    """The model at `path`, loaded as MLflow's own server does it.

    Raises:
        Exception: Whatever MLflow or the model's code raises while loading.
    """
    # some flavors ask for it
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    if "onnx" in Model.load(str(path)).flavors:
        _size_onnxruntime()
    # `requirements.py` tells sooner what does not fit
    model = load_model(str(path), suppress_warnings=True, **_model_config())
    _silence_keras()
    return model


def _model_config() -> dict[str, Any]:
    """The configuration of the model that MLflow's own server takes from the environment.

    Raises:
        ValueError: It is no JSON object.
    """
    text = os.environ.get(_MODEL_CONFIG)
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        told = f'{_MODEL_CONFIG} must be a JSON object, such as {{"temperature": 0.5}}.'
        raise ValueError(told)  # noqa: TRY004  # its text is wrong
    return {"model_config": found}


@cache
def _size_onnxruntime() -> None:
    """Give sessions this process's share of the cores, where the model does not say how many.

    onnxruntime reads no variable: every replica would have a spinning thread for each core.
    """
    import onnxruntime  # noqa: PLC0415  # only the models of one flavor have it

    class Sized(onnxruntime.SessionOptions):  # type: ignore[misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.intra_op_num_threads = thread_limits.share()
            self.add_session_config_entry("session.intra_op.allow_spinning", "0")

    onnxruntime.SessionOptions = Sized


def _silence_keras() -> None:
    """Draw no progress bar for each prediction, which would be a line of the log."""
    if keras := sys.modules.get("keras"):
        keras.config.disable_interactive_logging()
