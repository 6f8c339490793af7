"""Answers that are no predictions: what was wrong, and whose mistake it was."""
