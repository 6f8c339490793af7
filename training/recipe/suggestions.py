"""Suggestions for mistyped names."""

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 12


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return what to write instead of `name`: the nearest known name, or else the first ones.

    Returns:
        A clause for the end of a message, like "did you mean 'carrier'?".
    """
    names = list(dict.fromkeys(known))
    if not names:
        return "there are none"
    folded = {known_name.casefold(): known_name for known_name in names}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean {folded[near[0]]!r}?"
    shown = ", ".join(names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"there are {shown}{more}"
