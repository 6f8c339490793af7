"""The life of a server: it is started, listens, serves its models, and ends.

The parts of the server are put together here, and nowhere else. Nothing outside of
`cloche.serving.cli` and `cloche.asgi` imports this package.
"""
