"""The server programs of contenders that bring none of their own; `benchmarks.catalog` names them.

Some import packages that are only in their contender's environment.
"""
