"""What runs inside a model host: one version of one model, in a process of its own.

Imports MLflow, numpy, pandas and the standard library only, because a host may run in the
environment of its model.
"""
