"""What a job tells when it ends: refused rows, statistics, drift, the report, and the run in MLflow."""
