"""The identity of a table's content, equal wherever and whenever the same rows are read."""

import hashlib
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd


def frame_digest(frame: pd.DataFrame) -> str:
    """SHA-256 over column names, their types, and every value in the order of the rows.

    The index does not count: it says where a row was found, not what it holds.
    """
    digest = hashlib.sha256()
    for name, kind in frame.dtypes.items():
        digest.update(f"{name!r}: {kind}\n".encode())
    plain = frame.copy(deep=False)
    for at in range(frame.shape[1]):  # names may occur twice
        plain.isetitem(at, hashable(frame.iloc[:, at]).array)
    rows = pd.util.hash_pandas_object(plain, index=False)
    digest.update(rows.to_numpy().tobytes())
    return digest.hexdigest()


def hashable(values: pd.Series) -> pd.Series:
    """The values of a column, with lists and mappings as text."""
    if values.dtype != object or values.map(_has_hash).all():
        return values
    return values.map(lambda value: repr(_plain(value)))


def _has_hash(value: object) -> bool:
    return isinstance(value, Hashable) and not isinstance(value, tuple)  # which may hold anything


def _plain(value: Any) -> Any:
    """A nested value in Python's own kinds, whichever reader it comes from."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value
