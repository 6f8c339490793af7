"""`python -m benchmarks.raw URI ROWS FILE`: the upper limit of batch scoring.

It calls the model's own `predict`, without MLflow around it, on DataFrames that are in memory
already, in one process for each core. It writes the seconds of all calls to FILE.
"""

import multiprocessing
import os
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

_CHUNK = 1 << 16
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(uri: str, rows: int, file: Path) -> None:
    """Measure, and write the seconds to `file`."""
    os.environ |= dict.fromkeys(_THREADS, "1")  # each process uses one core
    cores = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(cores + 1)
    processes = [
        context.Process(target=_predict, args=(uri, rows // cores, barrier)) for _ in range(cores)
    ]
    for process in processes:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    barrier.wait()
    file.write_text(str(time.perf_counter() - started))
    for process in processes:
        process.join()


def _predict(uri: str, rows: int, barrier: Barrier) -> None:
    import mlflow.sklearn  # noqa: PLC0415  # after the limits of threads are set

    from benchmarks.tables import groups  # noqa: PLC0415

    model, chunk = mlflow.sklearn.load_model(uri), next(groups(_CHUNK)).to_pandas()
    model.predict(chunk)
    barrier.wait()
    for start in range(0, rows, _CHUNK):
        model.predict(chunk[: min(_CHUNK, rows - start)])
    barrier.wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
