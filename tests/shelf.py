"""What takes seconds to make, is the same in many tests, and is copied rather than made anew."""

import atexit
import contextlib
import fcntl
import functools
import shutil
import sqlite3
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


def copy_empty_store(path: Path) -> None:
    """Copy it to where its runs leave their artifacts beside it, as they do beside a new one."""
    shutil.copy(empty_store(), path)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        artifacts = str(path.parent / "mlruns" / "0")
        database.execute("UPDATE experiments SET artifact_location = ?", [artifacts])
