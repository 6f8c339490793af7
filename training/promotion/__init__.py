"""Promotion: the state of a model in the registry, and the order in which it is changed."""
