"""Accelerated twins: ONNX forms of scikit-learn models, proven equal before they may serve."""
