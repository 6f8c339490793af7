"""The target `cloche` of `mlflow deployments`, a plugin of MLflow's deployment interface."""
