"""Saves a model whose code lies in modules of the commonest names: `python users_model.py FOLDER`.

FOLDER/code has the modules, and the model is saved to FOLDER/model. Run as a script, so that its
class travels with the model.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema


class UsersModel(PythonModel):
    """Scales and shifts a number, by what its modules say."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        import queue
        import types

        from serving.rules import SHIFT
        from training.features import FACTOR
        from utils import scaled

        # MLflow imported these before it saw the model's folder, so its models get Python's own.
        assert hasattr(queue, "SimpleQueue")
        assert hasattr(types, "GenericAlias")
        return [scaled(value, FACTOR) + SHIFT for value in model_input["a"]]


def save(folder: Path) -> None:
    """Save the model."""
    code = folder / "code"
    with warnings.catch_warnings(action="ignore"):  # that a hint of `Any` tells it nothing
        mlflow.pyfunc.save_model(
            folder / "model",
            python_model=UsersModel(),
            code_paths=[str(path) for path in sorted(code.iterdir())],
            signature=ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("double")])),
            input_example=pd.DataFrame({"a": [1.0]}),
            pip_requirements=[f"mlflow-skinny=={mlflow.__version__}", f"pandas=={pd.__version__}"],
        )


if __name__ == "__main__":
    save(Path(sys.argv[1]))
