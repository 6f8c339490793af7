"""The life of a server: it starts, listens, serves its models, and shuts down.

The components of the server are assembled here, and nowhere else. Only `cloche.serving.cli`,
`cloche.serving.doctor` and `cloche.asgi` import this package.
"""
