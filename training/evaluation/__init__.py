"""Measures of a model's quality: metrics, their intervals, and metrics for parts of the holdout."""
