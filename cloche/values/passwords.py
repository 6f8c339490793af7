"""Removes passwords from messages and log lines."""

import re

_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/\s]*@")


def without_password(text: str) -> str:
    """Replace the passwords in the URLs of a text by `***`."""
    return _PASSWORD.sub(r"\1:***@", text)
