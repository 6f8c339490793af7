"""Forks the processes behind a front from one that has imported what they need.

A model host and the registry process import for seconds, and occupy a quarter of a gigabyte by it.
A fork has the imports at once, and shares their memory.
"""
