"""Finds the rows that spoil the rest: halves what fails until single rows are left."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def divide(
    attempt: Callable[[int, int], T], count: int, reason: Callable[[Exception], str]
) -> tuple[list[tuple[int, int, T]], dict[int, str]]:
    """Attempt rows 0 to `count` together, and where that fails in ever smaller pieces.

    A row is given up only when it fails alone. Memory that runs out is no fault of a single row:
    it is raised when even that does not fit.

    Args:
        attempt: Does the work for rows from the first number up to, without, the second.
        count: How many rows there are.
        reason: Says why a row failed, and raises what is no fault of the row.

    Returns:
        Start, stop and result of each piece that went well, in order; and row → reason.
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
