"""The target `cloche` of `mlflow deployments`: registry and server by MLflow's own door."""
