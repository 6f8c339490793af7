"""The fork server: it imports modules once, and forks the processes behind a front.

A model host and the registry process import for seconds, and their imports occupy a quarter of a
gigabyte. A fork has the imports at once, and shares their memory.
"""
