"""A wrapper of a loaded model that records how MLflow's scoring function handled a request."""

import inspect
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pandas as pd
from mlflow.models import Model
from mlflow.models.utils import _enforce_params_schema
from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.answers.error_origin import raised_by_model
from cloche.serving.host.parsing.column_decoder import has_type_hints
from cloche.serving.host.parsing.json_types import JsonTypes
from cloche.serving.host.parsing.missing_values import lossy_arrays, refuse_gaps
from cloche.serving.host.parsing.older_mlflow import in_prediction
from cloche.serving.processes import thread_limits

PLACEHOLDER = "[]"  # in JSON


class InstrumentedModel:
    """Wraps the model: it gives the same answers, and records the course of the last request.

    Attributes:
        seconds: The seconds spent in predictions since this was last set to 0.
        rows: The number of rows of the last prediction.
        reached: Whether the last request was parsed and reached the model.
        enforcement_error: The error by which the last request did not reach the model, if any;
            MLflow hides it.
        model_error: The exception of the model's own code on the last request, if any.
        failed_input: The input with which the model's own code failed.
        raw: The return value of the model on the last request.
        sent: The parsed input of the last request, before MLflow's enforcement.
    """

    def __init__(self, model: PyFuncModel) -> None:
        self._model = model
        self.seconds = 0.0
        self.reset()

    @property
    def metadata(self) -> Model:
        """The model's metadata."""
        return self._model.metadata

    def reset(self) -> None:
        """Forget the last request."""
        self.rows = 0
        self.reached = False
        self.enforcement_error: RequestRefused | None = None
        self.model_error: Exception | None = None
        self.failed_input: Any = None
        self.raw: Any = None
        self.sent: Any = None

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> list[Any]:
        """Predict for `data`, with MLflow's enforcement of the signature.

        Returns:
            A placeholder that MLflow writes at once. The predictions are in `raw`: MLflow's writing
            of them takes several times as long as ours.

        Raises:
            RequestRefused: Enforcement would change a missing value.
            Exception: Any error of MLflow or the model.
        """
        self.reached = True
        self.rows = _count(data)
        try:
            refuse_gaps(data, self._lossy)
            data = self._types.convert_table(data)
        except RequestRefused as error:
            self.enforcement_error = error
            raise
        self.sent = data
        started = time.perf_counter()
        try:
            with thread_limits.for_rows(self.rows):
                self.raw = self._model.predict(data, params=params)
        except Exception as error:
            if raised_by_model(error):
                self.model_error, self.failed_input = error, data
            raise
        finally:
            self.seconds += time.perf_counter() - started
        return []

    def predict_enforced(self, frame: pd.DataFrame, params: dict[str, Any] | None) -> Any:
        """Predict for a data frame that enforcement would not change.

        This is `PyFuncModel.predict` without the enforcement, which is as slow as many models.
        """
        started = time.perf_counter()
        try:
            params = _enforce_params_schema(params, self.metadata.get_params_schema())
            with in_prediction(self._model), thread_limits.for_rows(len(frame)):
                return self._function(frame, **({"params": params} if self._takes_params else {}))
        finally:
            self.seconds += time.perf_counter() - started

    @cached_property
    def _lossy(self) -> list[ColSpec]:
        return lossy_arrays(self.metadata.get_input_schema())

    @cached_property
    def _types(self) -> JsonTypes:
        hinted = has_type_hints(self.metadata)
        return JsonTypes(None if hinted else self.metadata.get_input_schema())

    @cached_property
    def _function(self) -> Callable[..., Any]:
        function: Callable[..., Any] = self._model._predict_fn
        return function

    @cached_property
    def _takes_params(self) -> bool:
        params = inspect.signature(self._function).parameters.get("params")
        return params is not None and params.kind is not params.VAR_KEYWORD


def _count(data: Any) -> int:
    if isinstance(data, dict):  # named tensors or columns
        data = next(iter(data.values()), ())
    try:
        return len(data)
    except TypeError:  # a scalar
        return 1
