"""What clouds ask of a container by other names: variables, paths and bodies.

Pure: an environment in, settings and translations out.
"""
