"""What a training run leaves in MLflow: parameters, metrics, plots, inputs, model, card."""
