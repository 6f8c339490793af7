"""The policy of a rollout: who gets the canary, and what counts of requests prove of it.

A server's canary (`serving/arms/`) and the recipe of a training (the plan) import this package.
Nothing asks yet for the verdict on a step or on a shadow. It is pure, knows nothing of MLflow, and
imports of Python what a server's front has anyway.
"""
