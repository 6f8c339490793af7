"""The options, signal handling and error messages that all benchmark commands share."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.models.store import COMMENTS

_PROJECT = Path(__file__).parents[1]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the shared options to a command."""
    for name, default, about in (
        ("--output", Path(__file__).parent, "folder of the results (default: benchmarks)"),
        ("--cache", _PROJECT / ".bench", "of environments and trained models (default: .bench)"),
        ("--comments", COMMENTS, "the data of the recipe comments"),
    ):
        parser.add_argument(name, type=Path, default=default, help=about, metavar="PATH")


def run(measure: Callable[[], None]) -> None:
    """Run a command; a `BenchmarkError` is printed as a message, any other error as a traceback.

    SIGTERM ends the command as Ctrl-C does, so that its servers are ended, too. OpenMP threads
    sleep while they wait, unless the environment sets OMP_WAIT_POLICY: on few cores, spinning
    threads starve the client and each other, and contenders that do not set it would look worse.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        measure()
    except KeyboardInterrupt:
        print("Stopped; nothing was written.", file=sys.stderr)
        sys.exit(130)
    except BenchmarkError as error:
        sys.exit(f"Error: {error}")
