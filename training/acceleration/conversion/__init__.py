"""Pipelines as ONNX graphs: which estimators can be converted, and how."""
