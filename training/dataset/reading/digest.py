"""Computes a digest of a table's content, which is equal whenever the same rows are read."""

import hashlib
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd


def frame_digest(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of column names, their types, and every value in the order of the rows.

    The index is not included: it says where a row was found, not what it contains.
    """
    digest = hashlib.sha256()
    for name, kind in frame.dtypes.items():
        digest.update(f"{name!r}: {kind}\n".encode())
    plain = frame.copy(deep=False)
    for at in range(frame.shape[1]):  # by position, because names may occur twice
        plain.isetitem(at, hashable(frame.iloc[:, at]).array)
    rows = pd.util.hash_pandas_object(plain, index=False)
    digest.update(rows.to_numpy().tobytes())
    return digest.hexdigest()


def hashable(values: pd.Series) -> pd.Series:
    """Return the values of a column, with lists and mappings as text."""
    if values.dtype != object or values.map(_has_hash).all():
        return values
    return values.map(lambda value: repr(_plain(value)))


def _has_hash(value: object) -> bool:
    # A tuple may contain values that have no hash.
    return isinstance(value, Hashable) and not isinstance(value, tuple)


def _plain(value: Any) -> Any:
    """Return a nested value as Python dicts, lists and scalars, whichever reader it comes from."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value
