"""The accelerated twin: an ONNX form of a scikit-learn model, proven equal before it may serve."""
