"""The errors of `cloche up`."""


class ServiceError(Exception):
    """A program of `cloche up` failed, or its port is in use; the message names the fix."""
