"""What a host would do with a version, for whoever judges it: loaded, asked and written the same.

The gate's process calls this; `cloche.probing` brings the two together.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.pyfunc import PyFuncModel

from cloche.serving.host import frameworks
from cloche.serving.host.load import LoadRefused, prove
from cloche.serving.host.predictors.prediction_writer import ByModelPredicted
from cloche.serving.processes.frames import HEADER, Kind, control
from cloche.values.redaction import describe_error

_parse = json.JSONDecoder().decode  # bound before a model's code can replace anything

load = frameworks.load


def refusal(model: PyFuncModel, path: Path, example: Callable[[], str]) -> str:
    """Why a host would not serve a loaded version; empty where it would.

    Args:
        model: The version.
        path: Its artifacts.
        example: Gives a request body to ask, where the version brings none.
    """
    try:
        loaded = prove(model, path, example=example)
    except LoadRefused as refused:
        return str(refused)
    try:
        _parse(control(Kind.READY, loaded.description)[HEADER.size :].decode())
    except ValueError:
        return "its host says in no JSON that it is ready: the model's code changed json.dumps"
    return ""


def unwritable(raw: Any, rows: int) -> str:
    """Why a host cannot write what a model returned for so many rows; empty where it can."""
    try:
        ByModelPredicted(raw, rows).text(0, rows)
    except Exception as error:  # noqa: BLE001  # an answer may be any object
        return f"The model's answer cannot be written: {describe_error(error, raw)}"
    return ""
