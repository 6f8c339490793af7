"""`python -m benchmarks.starts`.

How long people wait for a command at a prompt: for its first line, for its end, and after the last
line of its progress; and the processor time, which other programs lengthen less. It prints only.

The commands work on small tables, so that nearly all of the time is their start and end. What they
take is compared with the import of `mlflow.sklearn`, in turn, because machines change their speed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from benchmarks import command
from benchmarks.errors import NotServing

_COMMAND = Path(sys.executable).parent / "cloche"
_MODEL = "breast-cancer"  # 426 rows to train on, 143 held out
_ROWS = 1_000
_LARGEST = 1 << 16
_IMPORT = "import mlflow.sklearn"


@dataclass(frozen=True, slots=True)
class Wait:
    """What one user waited for.

    Attributes:
        first: The seconds from the start of the command to its first line.
        whole: The seconds to its end.
        silent: The seconds from its last line to its end.
        busy: The seconds of processor time of all its processes.
    """

    first: float
    whole: float
    silent: float
    busy: float


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="all commands in turn")
    parser.add_argument("--rows", type=int, default=_ROWS, help="of the batch job")
    chosen = parser.parse_args()
    found: dict[str, list[Wait]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _prepare(folder, chosen.rows)
        for _ in range(chosen.rounds):
            for name, line in commands().items():
                found.setdefault(name, []).append(waited(line, folder))
    print(table(found, chosen.rounds))


def commands() -> dict[str, list[str]]:
    """Return the command lines of one round by their names, the import first."""
    version = f"models:/{_MODEL}@production"
    promote = ("promote", _MODEL, "--force", "--reason", "benchmark")
    lines = {
        "status": ("status", _MODEL),
        "train": ("train", _MODEL, "--set", "seed=7"),
        "promote": promote,
        "score": ("score", version, "rows.csv", "scores.csv", "--overwrite"),
        "score again": ("score", version, "rows.csv", "scores.csv", "--overwrite"),
        "report": ("report", "scores.csv"),
        "build": ("build", version, "--context-only", f"context-{time.monotonic_ns()}"),
        "accelerate": ("accelerate", _MODEL),
        "rollback": ("rollback", _MODEL),
    }
    return {
        _IMPORT: [sys.executable, "-c", _IMPORT],
        **{name: [str(_COMMAND), *line] for name, line in lines.items()},
    }


def waited(line: list[str], folder: Path) -> Wait:
    """Run a command in `folder`, and measure the wait for it.

    Raises:
        NotServing: The command failed.
    """
    variables = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    started = last = time.monotonic()
    first, said = None, b""
    printed, ours = os.pipe()
    process = subprocess.Popen(
        line, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=ours, stderr=ours
    )
    os.close(ours)
    while some := os.read(printed, _LARGEST):
        last = time.monotonic()
        first, said = first or last, said + some
    os.close(printed)
    _, status, used = os.wait4(process.pid, 0)
    ended = time.monotonic()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise NotServing(f"{' '.join(line)} ended with code {process.returncode}.\n{said.decode()}")
    busy = used.ru_utime + used.ru_stime
    return Wait((first or ended) - started, ended - started, ended - last, busy)


def table(found: dict[str, list[Wait]], rounds: int) -> str:
    """Return the medians as text, whole and processor time each beside the ratio to the import."""
    medians = {
        name: Wait(
            *(statistics.median(values) for values in zip(*map(astuple, waits), strict=True))
        )
        for name, waits in found.items()
    }
    unit = medians[_IMPORT]
    lines = [
        f"{f'medians of {rounds}, seconds':24} first line    whole  imports  processor  imports"
        "  after the last"
    ]
    lines += [
        f"{name:24} {one.first:10.2f} {one.whole:8.2f} {one.whole / unit.whole:7.2f}x"
        f" {one.busy:9.2f} {one.busy / unit.busy:7.2f}x {one.silent:15.2f}"
        for name, one in medians.items()
    ]
    return "\n".join(lines)


def _prepare(folder: Path, rows: int) -> None:
    """Put a version into production, and write the rows of the batch job."""
    lines = commands()
    for name in ("train", "promote"):
        waited(lines[name], folder)
    sample = folder / "sample.csv"
    waited([str(_COMMAND), "sample", "breast_cancer", "--without-target", str(sample)], folder)
    header, *some = sample.read_text().splitlines(keepends=True)
    some *= -(-rows // len(some))
    (folder / "rows.csv").write_text("".join([header, *some[:rows]]))


if __name__ == "__main__":
    command.run(main)
