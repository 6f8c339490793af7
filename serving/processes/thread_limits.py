"""A process's share of the cores, told to numerical libraries by the variables that they read.

They size their pools when they are imported: with too many threads, one row takes long.
"""

import os
from collections.abc import Mapping

_SHARE = "OMP_NUM_THREADS"  # scikit-learn, XGBoost, LightGBM and PyTorch ask OpenMP
_VARIABLES = (
    _SHARE,
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "POLARS_MAX_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def sized(base: Mapping[str, str], count: int) -> dict[str, str]:
    """The variables for a process with `count` threads; those that `base` has already stay."""
    return {name: str(count) for name in _VARIABLES if name not in base}


def share() -> int:
    """How many threads this process was given."""
    return int(os.environ.get(_SHARE, "1").partition(",")[0])
