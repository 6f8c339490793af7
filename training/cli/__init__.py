"""The commands of training: they parse options, call the library, and print its results.

No other module of training prints.
"""
