"""A version and the stages before it, loaded as one MLflow model; servers do not use it.

The process that loads it holds the version, and the stages that run in the same environment. Each
other stage has a process of its own, with the interpreter of its environment.
"""
