"""The parts that all HTTP answers share: ASGI helpers, headers, sockets, and access checks."""
