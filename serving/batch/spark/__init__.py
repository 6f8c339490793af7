"""Does a job on Apache Spark: its executors read, score through MLflow's `spark_udf`, and write."""

# By this name an executor is told what PYTHONPATH is on the driver's machine.
PYTHONPATH_LATER = "CLOCHE_PYTHONPATH"
# By these it is told which variables models get besides, and what its Python workers do.
HOST_ENV, STAGE = "CLOCHE_HOST_ENV", "CLOCHE_STAGE"
READING = "read"  # the stage without code of a model
# What Spark's workers read beside names that begin with PYTHON.
SPARKS_OWN = (
    "PYTHON_WORKER_FACTORY_*", "PYSPARK_EXECUTOR_MEMORY_MB", "SPARK_AUTH_SOCKET_TIMEOUT",
    "SPARK_BUFFER_SIZE", "SPARK_HIDE_TRACEBACK", "SPARK_PIPELINED_UDF*", "SPARK_PREFER_IPV6",
    "SPARK_PYTHON_RUNTIME", "SPARK_REUSE_WORKER", "SPARK_SIMPLIFIED_TRACEBACK",
    "SPARK_TRACEBACK_WITH_LOCALS",
)  # fmt: skip
