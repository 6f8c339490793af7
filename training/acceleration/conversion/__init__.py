"""Conversion of pipelines to ONNX graphs: which estimators can be converted, and how."""
