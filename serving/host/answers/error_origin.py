"""Finds whether an error was raised by MLflow's parsing and enforcement or by the model's code.

Both may raise MlflowException: MLflow for input that does not fit the signature or the type hints,
a model for any reason. Therefore the traceback decides, not the type of the exception.
"""

import itertools
import sys
import traceback

from mlflow.exceptions import MlflowException

# The packages whose code runs while MLflow parses and enforces: MLflow, its callers and callees.
_MACHINERY = frozenset({"cloche", "mlflow", "pandas", "numpy", "pyarrow", "pydantic"})


def raised_by_model(error: BaseException) -> bool:
    """Whether an error during a prediction was raised by the model's own code."""
    if not isinstance(error, MlflowException):
        return True
    called = [
        frame.f_globals.get("__name__", "").partition(".")[0]
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    by_mlflow = itertools.dropwhile(lambda name: name != "mlflow", called)  # skip MLflow's callers
    return any(name not in _MACHINERY and name not in sys.stdlib_module_names for name in by_mlflow)
