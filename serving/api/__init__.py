"""The HTTP API: routes, the ASGI application, and the handling of prediction requests."""
