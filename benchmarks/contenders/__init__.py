"""One contender per module, with the functions of `benchmarks.place.Contender`.

A module whose name ends in `_server` is what such a contender runs, in its own environment.
"""
