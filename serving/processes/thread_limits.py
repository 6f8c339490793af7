"""Limits on the threads of numerical libraries, set by the variables that the libraries read.

They size their thread pools at import: with too many threads, a single row takes long. One of the
cores is left to the front, which has nothing to do while it waits for a batch of many rows: OpenMP
may use that core as well for such a batch.
"""

import importlib
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

_SHARE = "OMP_NUM_THREADS"  # scikit-learn, XGBoost, LightGBM and PyTorch use OpenMP
_LARGE_SHARE = "CLOCHE_LARGE_BATCH_THREADS"
_MANY_ROWS = 10_000  # threads that sleep take some milliseconds to start on them
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


def thread_variables(base: Mapping[str, str], count: int, large: int = 0) -> dict[str, str]:
    """The variables that limit a process to `count` threads, without those set in `base`.

    For a batch of many rows, OpenMP may use `large` threads, unless `base` limits it.
    """
    limits = {name: str(count) for name in _VARIABLES if name not in base}
    return limits | ({_LARGE_SHARE: str(large)} if _SHARE in limits and large > count else {})


def share() -> int:
    """The number of threads that this process may use."""
    return int(os.environ.get(_SHARE, "1").partition(",")[0])


def for_rows(count: int) -> AbstractContextManager[Any]:
    """Return the context manager in which a batch of `count` rows is scored.

    Many rows are scored with all threads that OpenMP may use in this process. Numerical libraries
    without OpenMP keep their share: more threads of BLAS may change the last bit of a sum.
    """
    if count < _MANY_ROWS or _LARGE_SHARE not in os.environ:
        return nullcontext()
    try:
        threadpoolctl = importlib.import_module("threadpoolctl")
    except ImportError:  # the environment of a version may lack it
        return nullcontext()
    most = int(os.environ[_LARGE_SHARE])
    limited: AbstractContextManager[Any]
    limited = threadpoolctl.threadpool_limits(limits=most, user_api="openmp")
    return limited
