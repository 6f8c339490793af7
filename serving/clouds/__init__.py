"""The conventions of clouds for containers: environment variables, paths and bodies.

Pure, except for `routes`: an environment goes in, settings and translations come out.
"""
