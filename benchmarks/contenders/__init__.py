"""One contender per module.

`command(uri, port)` starts it, `ready()` and `predict()` are its paths.
"""
