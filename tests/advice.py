"""What messages advise, as a person reads it."""

import re
import shlex


def part(pattern: str, said: object) -> str:
    """What a message says at the place of a pattern's group; it must fit."""
    found = re.search(pattern, str(said))
    assert found is not None, (pattern, said)
    return found[1]


def words(pattern: str, said: object) -> list[str]:
    """The words of that, as a shell has them."""
    return shlex.split(part(pattern, said))
