"""The models of a server: each follows its alias, and gives batches of requests to replicas.

A served model has a version pool for each version that it loads or serves. A version pool has
replicas, which are model hosts.
"""
