"""The contenders, one per module with the functions of `benchmarks.place.Contender`.

A module whose name ends in `_server` is the server program of a contender.
"""
