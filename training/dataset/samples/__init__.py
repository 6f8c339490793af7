"""Data sets that come with installed packages, each as one tidy table."""
