"""Where an error arose: in MLflow's parsing and enforcement, or in the model's own code.

Both raise MLflow's exception: MLflow for what does not fit the signature or the type hints, a model
for whatever it likes. So its type says nothing, and the way that it came does.
"""

import itertools
import sys
import traceback

from mlflow.exceptions import MlflowException

# Whose code runs while MLflow reads and enforces: its own, and what that calls and is called by.
_MACHINERY = frozenset({"cloche", "mlflow", "pandas", "numpy", "pyarrow", "pydantic"})


def of_model(error: BaseException) -> bool:
    """Whether an error that came out of a prediction is the model's own."""
    if not isinstance(error, MlflowException):
        return True
    called = [
        frame.f_globals.get("__name__", "").partition(".")[0]
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    by_mlflow = itertools.dropwhile(lambda name: name != "mlflow", called)  # not who asked MLflow
    return any(name not in _MACHINERY and name not in sys.stdlib_module_names for name in by_mlflow)
