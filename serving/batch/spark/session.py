"""The Spark session of a job: started with the job's settings, and stopped after it."""

import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cloche.serving.batch.spark import HOST_ENV, PYTHONPATH_LATER
from cloche.serving.errors import JobFailed, SettingsError

_SETTINGS = {
    # a part is one batch for the model, as with any other engine
    "spark.sql.execution.arrow.maxRecordsPerBatch": "0",
    "spark.sql.session.timeZone": "UTC",
    # the part scheduler itself retries a part whose task failed, to search for the row
    "spark.task.maxFailures": "1",
    "spark.python.daemon.module": "cloche.serving.batch.spark.daemon",
    # no module of the working directory may replace one of Python or Cloche
    "spark.executorEnv.PYTHONSAFEPATH": "1",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
_CONFIGURED = ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS")  # each may name a master
_ALONE = {  # a local Spark needs no access from the network
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
}
# Numerical libraries size their thread pools at import: each task has one core.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "POLARS_MAX_THREADS", "ARROW_NUM_THREADS",
)  # fmt: skip


@contextmanager
def session(master: str | None, name: str, extra_names: Sequence[str] = ()) -> Iterator[Any]:
    """Start a Spark session, and stop it at the end.

    Args:
        master: The master URL; None for Spark's own configuration, or `local[*]` without any.
        name: The name of the application in Spark.
        extra_names: Additional variables for models on executors; see
            `cloche.processes.child_variables`.

    Raises:
        SettingsError: PySpark or Java is not installed.
        JobFailed: Spark does not start, or the master does not answer.
    """
    builder = _builder(name)
    if master is None and not any(one in os.environ for one in _CONFIGURED):
        master = "local[*]"
    alone = master is not None and master.startswith("local")
    if master is not None:
        builder = builder.master(master)
    if alone:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    threads = {f"spark.executorEnv.{name}": "1" for name in _THREAD_VARIABLES}
    for key, value in (_SETTINGS | threads | (_ALONE if alone else {})).items():
        builder = builder.config(key, value)
    # Spark would put PYTHONPATH before Python's own modules; the executor's daemon puts it after.
    named = os.environ.pop("PYTHONPATH", "")
    builder = builder.config(f"spark.executorEnv.{PYTHONPATH_LATER}", named if alone else "")
    builder = builder.config(f"spark.executorEnv.{HOST_ENV}", " ".join(extra_names))
    try:
        spark = builder.getOrCreate()
    except Exception as error:  # errors of Spark and of py4j
        raise JobFailed(
            f"Spark does not start at {master or 'its default master'}: {error}"
        ) from error
    finally:
        if named:
            os.environ["PYTHONPATH"] = named
    try:
        yield spark
    finally:
        with suppress(Exception):  # Spark may have stopped already
            spark.stop()


def _builder(name: str) -> Any:
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415  # PySpark is an extra
    except ImportError as error:
        raise SettingsError("--engine spark needs PySpark: pip install 'cloche[spark]'.") from error
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    if shutil.which(java) is None:
        raise SettingsError(
            f"--engine spark needs Java 17 or later, and {java} is not there. Install it (apt-get "
            "install openjdk-17-jre-headless; openjdk-21-jre-headless from Debian 13 on), or name "
            "its folder in JAVA_HOME."
        )
    # PySpark 4.3 warns of every pandas 3; the functions used here are tested with it.
    warnings.filterwarnings(
        "ignore", "PySpark does not yet fully support pandas", category=FutureWarning
    )
    return SparkSession.builder.appName(name)
