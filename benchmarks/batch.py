"""`python -m benchmarks.batch`: tables of millions of rows, by each way to score them.

Results of earlier calls stay, unless the same is measured again, so that the ways can be measured
one after the other.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from itertools import product
from pathlib import Path

from benchmarks import batch_report, command
from benchmarks.batch_report import WAYS
from benchmarks.batch_results import BatchRun, Results, Task, Unmeasured, read, write
from benchmarks.errors import NotServing
from benchmarks.models.store import Trained, trained
from benchmarks.processes import Server, mebibytes, path_of, running
from benchmarks.tables import table

_MODELS = ("linear", "twelve")
_SAMPLE_SECONDS = 0.5
_MOST_SECONDS = 3600.0
_MLFLOW_BYTES_PER_ROW = 850  # measured with a million rows of CSV
_FORMATS = {"raw": ("memory",), "mlflow": ("csv",)}  # MLflow's command reads no Parquet


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=_MODELS, default=list(_MODELS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--formats", nargs="+", choices=("parquet", "csv"),
                        default=["parquet", "csv"])  # fmt: skip
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=1)
    command.add_options(parser)
    chosen = parser.parse_args()
    store = (chosen.cache / "models", chosen.comments)
    made = {name: trained(name, *store) for name in chosen.models}
    results = read(chosen.output)
    for name, rows, way in product(chosen.models, chosen.rows, chosen.ways):
        for kind in _FORMATS.get(way, chosen.formats):
            task = Task(name, way, kind, rows)
            _measure(task, made[name], chosen.rounds, chosen.cache, results)
            write(chosen.output, results)
    batch_report.render(results, chosen.output)


def _measure(task: Task, made: Trained, rounds: int, cache: Path, results: Results) -> None:
    results.forget(task)
    try:
        _require_possible(task)
        for _ in range(rounds):
            seconds, most = _run(task, made, cache)
            results.runs.append(BatchRun(**asdict(task), seconds=seconds, mebibytes=most))
            print(
                f"{task.model} {task.way} {task.format} {task.rows:,}: {seconds:.1f} s, "
                f"{task.rows / seconds:,.0f} rows/s, {most:.0f} MiB",
                flush=True,
            )
    except NotServing as error:
        results.missing.append(Unmeasured(**asdict(task), reason=str(error)))
        print(
            f"{task.model} {task.way} {task.format} {task.rows:,}: {error}",
            file=sys.stderr,
            flush=True,
        )


def _require_possible(task: Task) -> None:
    if task.way == "cloche_spark" and find_spec("pyspark") is None:
        raise NotServing("pyspark is not installed: pip install 'cloche[spark]'")
    need = task.rows * _MLFLOW_BYTES_PER_ROW
    if task.way == "mlflow" and need > _free_bytes() / 2:
        raise NotServing(
            f"it would need about {need >> 30} GiB, more than half of the memory that is free"
        )


def _free_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _run(task: Task, made: Trained, cache: Path) -> tuple[float, float]:
    """Score a table once.

    Returns:
        The seconds, and the highest total PSS of all processes in MiB.

    Raises:
        NotServing: The command failed.
    """
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        place = Path(scratch)
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": made.registry,
            "PATH": path_of(Path(sys.executable)),
        }
        log = place / "log"
        if task.way == "raw":
            # This program measures its own predictions, without the time for loading and frames.
            about = [made.uri, str(task.rows), str(place / "seconds")]
            line = [sys.executable, "-m", "benchmarks.raw", *about]
        else:
            source = table(task.rows, task.format, cache / "tables")
            line = _command(task, made, source, place, cache / "versions")
        started = time.perf_counter()
        with running(line, environment, log) as process, _watched(process) as memory:
            if code := process.wait(_MOST_SECONDS):
                raise NotServing(f"It ended with code {code}.\n{process.last_lines()}")
            seconds = time.perf_counter() - started
        if task.way == "raw":
            seconds = float((place / "seconds").read_text())
        return seconds, max(memory)


def _command(task: Task, made: Trained, source: Path, place: Path, versions: Path) -> list[str]:
    if task.way == "mlflow":
        return [
            *("mlflow", "models", "predict", "--env-manager", "local", "-m", made.uri),
            *("-i", str(source), "-t", task.format, "-o", str(place / "out.json")),
        ]
    options = {
        "cloche": [], "cloche_no_acceleration": ["--no-acceleration"],
        "cloche_spark": ["--engine", "spark"],
    }[task.way]  # fmt: skip
    return [
        *(sys.executable, "-m", "cloche", "score", made.uri, str(source)),
        *(str(place / f"out.{task.format}"), "--id-column", "id"),
        *("--cache-dir", str(versions), *options),  # kept: a job of every day finds its version
    ]


@contextmanager
def _watched(process: Server) -> Iterator[list[float]]:
    """Sample the total PSS of all processes, in MiB, while the block runs."""
    found, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            found.append(mebibytes(process.pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    command.run(main)
