"""The client for programs in Python. It knows the wire, and nothing of the server behind it."""
