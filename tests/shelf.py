"""What takes seconds to make, is the same in many tests, and is copied rather than made anew."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from mlflow import MlflowClient


@functools.cache
def shelf() -> Path:
    """A folder of this process, removed when it ends."""
    path = tempfile.mkdtemp(prefix="cloche-shelf-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


@functools.cache
def empty_store() -> Path:
    """A SQLite file with MLflow's tables; to be copied."""
    path = shelf() / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_registered_models()
    return path
