"""Runs a job on Apache Spark: executors read, score by MLflow's `spark_udf`, and write."""

# The variable that passes the driver's PYTHONPATH to an executor.
PYTHONPATH_LATER = "CLOCHE_PYTHONPATH"
# The variables that pass additional variables for models, and the stage of the Python workers.
HOST_ENV, STAGE = "CLOCHE_HOST_ENV", "CLOCHE_STAGE"
READING = "read"  # the stage that runs no code of a model
# Variables that Spark's workers read, besides those whose names begin with PYTHON.
SPARKS_OWN = (
    "PYTHON_WORKER_FACTORY_*", "PYSPARK_EXECUTOR_MEMORY_MB", "SPARK_AUTH_SOCKET_TIMEOUT",
    "SPARK_BUFFER_SIZE", "SPARK_HIDE_TRACEBACK", "SPARK_PIPELINED_UDF*", "SPARK_PREFER_IPV6",
    "SPARK_PYTHON_RUNTIME", "SPARK_REUSE_WORKER", "SPARK_SIMPLIFIED_TRACEBACK",
    "SPARK_TRACEBACK_WITH_LOCALS",
)  # fmt: skip
