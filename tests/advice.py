"""What a message advises, for tests that do it."""

import re
import shlex


def read(pattern: str, message: str) -> str:
    """What a message says at the place of a pattern's group."""
    found = re.search(pattern, message)
    assert found is not None, (pattern, message)
    return found[1]


def typed(pattern: str, message: str) -> list[str]:
    """The words that a shell makes of it."""
    return shlex.split(read(pattern, message))
