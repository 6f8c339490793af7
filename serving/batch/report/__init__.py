"""What a job tells at its end: refused rows, statistics, drift, the report, the MLflow run."""
