"""Checks for data that would mislead a training: leaks, copies, unusable columns and targets."""
