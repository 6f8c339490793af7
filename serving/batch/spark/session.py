"""The connection to Spark: started for a job, with what a job needs, and stopped after it."""

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
    # a part is one batch for the model, as for any other engine
    "spark.sql.execution.arrow.maxRecordsPerBatch": "0",
    "spark.sql.session.timeZone": "UTC",
    # a part whose task failed is asked about again by the job itself, which then looks for the row
    "spark.task.maxFailures": "1",
    "spark.python.daemon.module": "cloche.serving.batch.spark.daemon",
    # no module of the working directory is imported in place of Python's or of ours
    "spark.executorEnv.PYTHONSAFEPATH": "1",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
_CONFIGURED = ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS")  # where a master is named
_ALONE = {  # on one machine nobody else has a say
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
}
# Numerical libraries size their pools when imported: each task has one core.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "POLARS_MAX_THREADS", "ARROW_NUM_THREADS",
)  # fmt: skip


@contextmanager
def session(master: str | None, name: str, widened: Sequence[str] = ()) -> Iterator[Any]:
    """A Spark session.

    Args:
        master: Its URL; None leaves that to Spark's own configuration.
        name: What Spark calls it.
        widened: Variables of executors that models get besides; see
                `cloche.processes.child_variables`.

    Raises:
        SettingsError: PySpark or Java is not there.
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
    # Spark would put it before Python's own modules; the daemon on the executor puts it behind.
    named = os.environ.pop("PYTHONPATH", "")
    builder = builder.config(f"spark.executorEnv.{PYTHONPATH_LATER}", named if alone else "")
    builder = builder.config(f"spark.executorEnv.{HOST_ENV}", " ".join(widened))
    try:
        spark = builder.getOrCreate()
    except Exception as error:  # Spark's own, and py4j's
        raise JobFailed(
            f"Spark does not start at {master or 'its default master'}: {error}"
        ) from error
    finally:
        if named:
            os.environ["PYTHONPATH"] = named
    try:
        yield spark
    finally:
        with suppress(Exception):  # it may be gone already
            spark.stop()


def _builder(name: str) -> Any:
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415  # an extra
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
    # PySpark 4.3 says it of all of pandas 3; what is used here is tested against that.
    warnings.filterwarnings(
        "ignore", "PySpark does not yet fully support pandas", category=FutureWarning
    )
    return SparkSession.builder.appName(name)
