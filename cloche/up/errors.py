"""What can go wrong while everything is brought up."""


class ServiceError(Exception):
    """A program beside us did not start, ended, or its port is taken; the message names the fix."""
