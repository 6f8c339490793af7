"""Keeps secrets out of what people and logs are told."""

import re

_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/\s]*@")


def without_password(text: str) -> str:
    """The text; passwords in its URLs are stars."""
    return _PASSWORD.sub(r"\1:***@", text)
