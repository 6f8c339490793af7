"""The metrics, traces and logs of the server."""
