"""The ONNX twin of a model, and the conversion of predictions to parts of answers."""
