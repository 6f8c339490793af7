"""What a training run leaves in MLflow: parameters, metrics, plots, inputs, the model and its card."""
