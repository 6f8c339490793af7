"""Converts columns to the tensors that a twin's graph takes, and says which values they represent.

A column of texts becomes codes if the graph takes codes (`cloche.registry.coded_graph`).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cloche.registry.coded_graph import UNKNOWN

_EXACT_IN_DOUBLE = 2**53
GAP = -2  # the code of a missing value

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
# Column → tensor, and which of its rows represent the value exactly; None for all.
Fill = Callable[[Any], tuple[Array, Mask | None]]


class Codes(NamedTuple):
    """A column of texts as numbers.

    Attributes:
        numbers: (n) int64, the codes of `Twin.vocabulary`, `UNKNOWN` or `GAP`.
    """

    numbers: Array


def fills_of(vocabulary: Mapping[str, int] | None) -> dict[str, Callable[[Any], Fill]]:
    """Return type of tensor → maker of its fill, from the text that stands for a missing value.

    Args:
        vocabulary: Text → code, for a graph that takes codes; None if it takes texts.
    """
    return _FILLS if vocabulary is None else _FILLS | {"string": _codes(vocabulary)}


def _doubles(_: Any) -> Fill:
    def fill(values: Any) -> tuple[Array, Mask | None]:
        exact = None
        if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
            exact = (values <= _EXACT_IN_DOUBLE) & (values >= -_EXACT_IN_DOUBLE)
        return values.astype(np.float64, copy=False).reshape(-1, 1), exact

    return fill


def _singles(_: Any) -> Fill:
    def fill(values: Any) -> tuple[Array, Mask | None]:
        with np.errstate(over="ignore"):
            singles = values.astype(np.float32)
        return singles.reshape(-1, 1), (singles == values) | np.isnan(singles)

    return fill


def _integers(_: Any) -> Fill:
    def fill(values: Any) -> tuple[Array, Mask | None]:
        if values.dtype.kind in "iub":
            return values.astype(np.int64).reshape(-1, 1), None
        whole = np.isfinite(values) & (np.abs(values) <= _EXACT_IN_DOUBLE)
        whole &= np.trunc(np.where(whole, values, 0.5)) == values
        return np.where(whole, values, 0).astype(np.int64).reshape(-1, 1), whole

    return fill


def _strings(missing: str | None) -> Fill:
    stand_in = "" if missing is None else missing

    def fill(values: Any) -> tuple[Array, Mask | None]:
        exact = None
        if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
            values = list(map(str, values.tolist()))
        elif None in values:
            if missing is None:
                exact = np.array([value is not None for value in values])
            values = [stand_in if value is None else value for value in values]
        return np.array(values, dtype=object).reshape(-1, 1), exact

    return fill


def _codes(vocabulary: Mapping[str, int]) -> Callable[[str | None], Any]:
    """Return the fill of text columns for a graph that takes codes."""
    known = vocabulary.get

    def of(missing: str | None) -> Fill:
        stand_in = known("" if missing is None else missing, UNKNOWN)

        def fill(values: Any) -> tuple[Array, Mask | None]:
            if isinstance(values, Codes):
                numbers = values.numbers
                complete = len(numbers) == 0 or numbers.min() != GAP
            else:
                if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
                    values = list(map(str, values.tolist()))
                complete = None not in values
                numbers = np.array(
                    [known(one, UNKNOWN) for one in values]
                    if complete
                    else [GAP if one is None else known(one, UNKNOWN) for one in values],
                    np.int64,
                )
            if complete:
                return numbers.reshape(-1, 1), None
            gaps = numbers == GAP
            exact = ~gaps if missing is None else None
            return np.where(gaps, stand_in, numbers).reshape(-1, 1), exact

        return fill

    return of


_FILLS: dict[str, Callable[[Any], Fill]] = {
    "double": _doubles,
    "float": _singles,
    "int64": _integers,
    "string": _strings,
}
