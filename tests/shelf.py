"""What takes seconds to make, is the same in many tests, and is copied rather than made anew."""

import atexit
import fcntl
import functools
import shutil
import tempfile
from pathlib import Path


@functools.cache
def shelf() -> Path:
    """A folder of this process, removed when it ends."""
    path = tempfile.mkdtemp(prefix="cloche-shelf-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


@functools.cache
def empty_store() -> Path:
    """A SQLite file with MLflow's tables, made once for all workers of a run; to be copied."""
    path = Path(tempfile.gettempdir()) / "empty-store.db"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            from mlflow import MlflowClient  # after skops: see `tests/conftest.py`

            making = path.with_suffix(".making")
            MlflowClient(f"sqlite:///{making}").search_registered_models()
            making.rename(path)
    return path
