"""Marks the answers that hold NaN or infinity, where the front wants to know that of a request."""

import math
from typing import Any

import numpy as np

from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.predictors.prediction_writer import Predicted
from cloche.serving.processes.frames import NOT_FINITE, TABLE_BODY, Answer

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
