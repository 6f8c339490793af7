"""Limits on the threads of numerical libraries, set by the variables that the libraries read.

They size their thread pools at import: with too many threads, a single row takes long.
"""

import os
from collections.abc import Mapping

_SHARE = "OMP_NUM_THREADS"  # scikit-learn, XGBoost, LightGBM and PyTorch use OpenMP
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
    """The variables that limit a process to `count` threads, without those set in `base`."""
    return {name: str(count) for name in _VARIABLES if name not in base}


def share() -> int:
    """The number of threads that this process may use."""
    return int(os.environ.get(_SHARE, "1").partition(",")[0])
