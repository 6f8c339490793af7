"""The process that owns the sockets, the queue, the routes and the metrics.

It never imports a model library.
"""
