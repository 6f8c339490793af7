"""Finds the rows that make a batch fail: halves each failed range until single rows are left."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def bisect_failures(
    attempt: Callable[[int, int], T], count: int, reason: Callable[[Exception], str]
) -> tuple[list[tuple[int, int, T]], dict[int, str]]:
    """Attempt rows 0 to `count` together, and halve every range that fails.

    A row is refused only when it fails alone. Running out of memory is no fault of a row, so a
    `MemoryError` is raised if even a single row does not fit.

    Args:
        attempt: Processes the rows from the first number up to, but not including, the second.
        count: The number of rows.
        reason: Returns why a row failed, or raises errors that are no fault of the row.

    Returns:
        Start, stop and result of each range that succeeded, in order; and failed row → reason.
    """
    done: list[tuple[int, int, T]] = []
    failed: dict[int, str] = {}
    waiting = [(0, count)] if count else []
    while waiting:
        start, stop = waiting.pop()
        try:
            done.append((start, stop, attempt(start, stop)))
        except Exception as error:
            said = reason(error)
            if stop - start > 1:
                middle = (start + stop) // 2
                waiting += ((middle, stop), (start, middle))
            elif isinstance(error, MemoryError):
                raise
            else:
                failed[start] = said
    return done, failed
