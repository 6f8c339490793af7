"""The models of a server: each follows its alias, and gives batches of requests to replicas.

A served model has one version pool for each version that it loads or serves, and a version pool
has replicas, which are model hosts.
"""
