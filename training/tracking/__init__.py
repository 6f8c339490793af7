"""Records of a training run in MLflow: parameters, metrics, plots, inputs, model, card."""
