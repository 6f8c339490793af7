"""Serving: predictions over HTTP and gRPC, and in batch jobs.

Its only connection to training is the MLflow registry: it never imports `training`.
"""
