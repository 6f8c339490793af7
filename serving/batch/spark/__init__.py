"""Does a job on Apache Spark: its executors read, score through MLflow's `spark_udf`, and write."""

# By this name an executor is told what PYTHONPATH is on the driver's machine.
PYTHONPATH_LATER = "CLOCHE_PYTHONPATH"
