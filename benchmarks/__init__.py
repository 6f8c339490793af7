"""Measures the online server against others that serve the same registered model.

With the same client, in one run.
"""
