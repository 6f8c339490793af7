"""Labels as text, one text for each value, whichever file or request it comes from.

The front of a server imports this module, so it imports nothing that takes time.
"""

import math
from typing import Any


def label_text(value: Any) -> str:
    """Return a label as text: whole numbers without a point, so that 1 and 1.0 are one label.

    Truth values are `True` and `False`, as a table of text gives them.

    Raises:
        ValueError: The value is no text, number, truth value or time, or is not finite.
    """
    if isinstance(value, str):
        return value
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    item = value.item() if hasattr(value, "item") else value  # numpy's scalars as Python's
    if isinstance(item, bool | int):
        return str(item)
    if not isinstance(item, float):
        raise ValueError(f"is no text, number, true or false, but {type(value).__name__}")  # noqa: TRY004
    if not math.isfinite(item):
        raise ValueError("is not finite")
    return str(int(item)) if item.is_integer() else repr(item)


def label_number(text: str) -> float | None:
    """Return the number that a label's text stands for; None if it is none."""
    if not text[:1].isascii() or text[:1].isspace() or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
