"""Metrics, traces and log lines of the server."""
