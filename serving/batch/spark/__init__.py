"""Does a job on Apache Spark: its executors read, score through MLflow's `spark_udf`, and write."""
