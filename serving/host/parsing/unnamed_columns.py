"""Names for columns without names in the signature, for protocols that require names.

Columns of the same plain type form one tensor side by side; otherwise each column is a tensor.
"""

from collections.abc import Sequence

BARE_INPUT = "input"
PLAIN = frozenset({"boolean", "integer", "long", "float", "double", "string"})


def side_by_side(types: Sequence[str]) -> bool:
    """Whether columns of these types fit into one tensor."""
    return len(set(types)) == 1 and types[0] in PLAIN


def names(count: int, one: str = BARE_INPUT) -> list[str]:
    """Return names for `count` columns."""
    return [one] if count == 1 else [f"{one}_{at}" for at in range(count)]
