"""Loads and checks a version for the gate exactly as a host would load, score and answer.

The gate's process calls this module; `cloche.probing` connects the two.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.pyfunc import PyFuncModel

from cloche.serving.host import frameworks
from cloche.serving.host.load import LoadRefused, prepare_scorer
from cloche.serving.host.predictors.prediction_writer import ModelPredictions
from cloche.serving.processes.frames import HEADER, Kind, control
from cloche.values.redaction import describe_error

_parse = json.JSONDecoder().decode  # bound before a model's code can replace it

load = frameworks.load


def serving_problem(model: PyFuncModel, path: Path, example: Callable[[], str]) -> str:
    """Explain why a host would not serve a loaded version; empty if it would."""
    try:
        loaded = prepare_scorer(model, path, example=example)
    except LoadRefused as refused:
        return str(refused)
    try:
        _parse(control(Kind.READY, loaded.description)[HEADER.size :].decode())
    except ValueError:
        return "its host says in no JSON that it is ready: the model's code changed json.dumps"
    return ""


def encoding_problem(raw: Any, rows: int) -> str:
    """Explain why a host cannot write a model's return value for `rows` rows; empty if it can."""
    try:
        ModelPredictions(raw, rows).text(0, rows)
    except Exception as error:  # noqa: BLE001  # an answer may be any object
        return f"The model's answer cannot be written: {describe_error(error, raw)}"
    return ""
