"""Processes behind the server: how they are started, how they share the cores, and what they say."""
