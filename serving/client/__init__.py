"""The Python client of the server. It knows only the HTTP API, and imports no server code."""
