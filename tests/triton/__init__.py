"""Triton's Python client in an environment of its own: it asks for older libraries than Cloche."""
