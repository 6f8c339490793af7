"""Names for columns that a signature leaves without, where a protocol needs one for each.

Columns of one plain type go side by side into one tensor; of others each has a tensor of its own.
"""

from collections.abc import Sequence

BARE_INPUT = "input"
PLAIN = frozenset({"boolean", "integer", "long", "float", "double", "string"})


def side_by_side(types: Sequence[str]) -> bool:
    """Whether columns of these types fit into one tensor."""
    return len(set(types)) == 1 and types[0] in PLAIN


def names(count: int, one: str = BARE_INPUT) -> list[str]:
    """A name for each of so many columns."""
    return [one] if count == 1 else [f"{one}_{at}" for at in range(count)]
