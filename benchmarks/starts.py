"""`python -m benchmarks.starts`.

How long people wait for a command at a prompt: for its first line, for its end, and after the last
line of its progress. It prints only.

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
from dataclasses import dataclass
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
    """

    first: float
    whole: float
    silent: float


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
    promote = ("promote", _MODEL, "--force", "--reason", "benchmark")
    lines = {
        "status": ("status", _MODEL),
        "train": ("train", _MODEL, "--set", "seed=7"),
        "promote": promote,
        "score": ("score", f"models:/{_MODEL}@production", "rows.csv", "scores.csv", "--overwrite"),
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
    process.wait()
    ended = time.monotonic()
    if process.returncode:
        raise NotServing(f"{' '.join(line)} ended with code {process.returncode}.\n{said.decode()}")
    return Wait((first or ended) - started, ended - started, ended - last)


def table(found: dict[str, list[Wait]], rounds: int) -> str:
    """Return the medians as text, each beside its ratio to that of the import."""
    whole = {name: statistics.median(one.whole for one in waits) for name, waits in found.items()}
    lines = [f"{f'medians of {rounds}, seconds':24} first line    whole  imports  after the last"]
    for name, waits in found.items():
        first, silent = (
            statistics.median(getattr(one, what) for one in waits) for what in ("first", "silent")
        )
        ratio = whole[name] / whole[_IMPORT]
        lines.append(f"{name:24} {first:10.2f} {whole[name]:8.2f} {ratio:7.2f}x {silent:15.2f}")
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
