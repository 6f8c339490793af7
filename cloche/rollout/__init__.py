"""The policy of a rollout: which callers get the canary, and what counts of requests prove of it.

It is pure and knows nothing of MLflow. A server's front imports it, so it imports nothing that the
front has not imported already.
"""
