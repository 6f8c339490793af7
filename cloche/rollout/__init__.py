"""The policy of a rollout: who gets the canary, and what counts of requests prove of it.

A server's canary (`serving/arms/`), the driver of rollouts (`training/rollout/`) and the recipe of a
training (the plan) import this package. It is pure, knows nothing of MLflow, and imports of Python
what a server's front has anyway.
"""
