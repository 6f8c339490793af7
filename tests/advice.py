"""What messages advise, as a person reads it."""

import re
import shlex


def text_of(pattern: str, said: object) -> str:
    """What a message says at the place of a pattern's group; it must fit."""
    found = re.search(pattern, str(said))
    assert found is not None, (pattern, said)
    return found[1]


def words_of(pattern: str, said: object) -> list[str]:
    """The words of that, as a shell has them."""
    return shlex.split(text_of(pattern, said))
