"""The policy of a rollout: who gets the canary, and what counts of requests prove of it.

The server and the command both import this package. It is pure, knows nothing of MLflow, and
imports of Python what a server's front has anyway.
"""
