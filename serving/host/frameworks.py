"""Loads a model, and tells its framework what that learns from no variable.

Used by model hosts and by the workers of batch jobs. What a variable can say is in `threads.py`.
"""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel, load_model

from cloche.serving.host import threads


def load(path: Path) -> PyFuncModel:
    """The model at `path`, loaded as MLflow's own server does it.

    Raises:
        Exception: Whatever MLflow or the model's code raises while loading.
    """
    # some flavors ask for it
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    if "onnx" in Model.load(str(path)).flavors:
        _size_onnxruntime()
    model = load_model(str(path), suppress_warnings=True)  # `requirements.py` tells sooner
    _silence_keras()
    return model


@cache
def _size_onnxruntime() -> None:
    """Give sessions this process's share of the cores, where the model does not say how many.

    onnxruntime reads no variable: every replica would have a spinning thread for each core.
    """
    import onnxruntime  # noqa: PLC0415  # only the models of one flavor have it

    class Sized(onnxruntime.SessionOptions):  # type: ignore[misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.intra_op_num_threads = threads.share()
            self.add_session_config_entry("session.intra_op.allow_spinning", "0")

    onnxruntime.SessionOptions = Sized


def _silence_keras() -> None:
    """Draw no progress bar for each prediction, which would be a line of the log."""
    if keras := sys.modules.get("keras"):
        keras.config.disable_interactive_logging()
