"""The code inside a model host, the process that serves one version of one model.

It imports only MLflow, numpy, pandas and the standard library, because a host may run in the
environment of its model.
"""
