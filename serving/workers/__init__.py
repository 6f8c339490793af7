"""The workers of a server: fronts that share its port, and the parent that leads them.

The parent runs no requests: it follows the registry, and all workers switch at its word. Neither
HTTP nor the choice of a version belongs in here.
"""
