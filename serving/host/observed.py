"""A loaded model as MLflow's scoring function sees it, which remembers how the last request went."""

import time
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel


class ObservedModel:
    """Stands in for the model: same answers, and it knows how long they took and whether the model failed.

    Attributes:
        seconds: Time spent in predictions since it was last set to 0.
        rows: Rows of the last prediction.
        reached: Whether the last request was parsed and came as far as the model.
        failed: What the model's own code raised on the last request, if it did.
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
        self.failed: Exception | None = None

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """What the model predicts for `data`."""
        self.reached = True
        self.rows = _count(data)
        started = time.perf_counter()
        try:
            return self._model.predict(data, params=params)
        except MlflowException:
            raise
        except Exception as error:
            self.failed = error
            raise
        finally:
            self.seconds += time.perf_counter() - started


def _count(data: Any) -> int:
    if isinstance(data, dict):  # named tensors or columns
        data = next(iter(data.values()), ())
    try:
        return len(data)
    except TypeError:  # a scalar
        return 1
