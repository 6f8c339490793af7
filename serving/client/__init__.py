"""The Python client of the server. It knows the HTTP protocol and imports none of the server."""
