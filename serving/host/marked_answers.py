"""Marks answers that are failures of the version, where the front counts them.

The status does not tell: a model that raises an error is a 400 to the client, as in MLflow.
"""

import math
from typing import Any

import numpy as np

from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.predictors.prediction_writer import Predicted
from cloche.serving.processes.frames import MODEL_FAILED, NOT_FINITE, TABLE_BODY, Answer

_NUMBERS = ("f", "c", "O")  # kinds of types whose values may be NaN or infinite, or hold such


def checked(request: ParsedRequest) -> ParsedRequest:
    """The request, whose answer is marked if it is not finite."""

    def write(predicted: Predicted, start: int, end: int) -> Answer:
        return marked(request.write(predicted, start, end), predicted, start, end)

    return ParsedRequest(request.table, write)


def marked(answer: Answer, predicted: Predicted, start: int, end: int) -> Answer:
    """The answer of these rows, marked if a prediction is NaN or infinite."""
    if answer.body_type == TABLE_BODY or _is_finite(list(predicted.columns(start, end).values())):
        return answer
    return answer._replace(body_type=answer.body_type | NOT_FINITE)


def as_failure(answer: Answer) -> Answer:
    """The answer, marked as one that reports an error of the model."""
    return answer._replace(body_type=answer.body_type | MODEL_FAILED)


def _is_finite(values: Any) -> bool:
    """Whether no number in values of any type is NaN or infinite; unknown types hold no numbers."""
    if isinstance(values, float):
        return math.isfinite(values)
    if isinstance(values, dict):
        return all(map(_is_finite, values.values()))
    if isinstance(values, list | tuple):
        return all(map(_is_finite, values))
    if getattr(getattr(values, "dtype", None), "kind", "") not in _NUMBERS:
        return True
    array = np.asarray(values)
    if array.dtype.kind == "O":
        return _is_finite(array.tolist())
    return bool(np.isfinite(array).all())
