"""Whether a model scores each row by itself.

So that requests may be joined without changing answers.
"""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from serving.host.frames import Answer
from serving.host.plan import Table

Score = Callable[[Sequence[Table]], Sequence[Answer | None]]


def is_rowwise(score: Score, table: Table) -> bool:
    """Whether the rows of `table` are scored alike together and alone.

    Up to how numerical libraries sum in larger batches. A single row proves nothing and passes.
    """
    (together,) = score([table])
    if together is None:
        return False
    joined = json.loads(together.body)["predictions"]
    if not isinstance(joined, list) or len(joined) != len(table.rows):
        return False
    for row, single in zip(joined, table.single_rows(), strict=True):
        (alone,) = score([single])
        own = json.loads(alone.body)["predictions"] if alone else None
        if not (isinstance(own, list) and len(own) == 1 and _close(row, own[0])):
            return False
    return True


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        both_missing = math.isnan(one) and math.isnan(other)
        return both_missing or math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    return bool(one == other)
