"""What keeps a prediction log at its destination: checked, compact, no older than it may be.

Each action may be killed at any moment and be done again.
"""
