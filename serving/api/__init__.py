"""From a path to an answer: routes, the ASGI application, and the way of a prediction request."""
