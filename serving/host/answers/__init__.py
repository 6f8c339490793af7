"""Answers to requests that were not scored: the mistake, and whether the model's code made it."""
