"""The ONNX twin of a model, and predictions that are written as answers."""
