"""Promotion: what the registry holds, and the order in which it changes."""
