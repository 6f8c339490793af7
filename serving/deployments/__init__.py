"""The target `cloche` of `mlflow deployments`: the same registry and server by MLflow's own door."""
