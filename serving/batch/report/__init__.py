"""The results of a finished job: refused rows, statistics, drift, the report, the MLflow run."""
