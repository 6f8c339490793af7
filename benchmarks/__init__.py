"""Benchmarks of Cloche against other servers of the same registered model.

All servers are measured with the same client, in one run.
"""
