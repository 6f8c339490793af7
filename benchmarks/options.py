"""The options that all commands of the benchmarks share."""

import argparse
from pathlib import Path

from benchmarks.models.store import COMMENTS

_PROJECT = Path(__file__).parents[1]


def add(parser: argparse.ArgumentParser) -> None:
    """Add them to a command."""
    for name, default, about in (
        ("--output", Path(__file__).parent, "folder of the results (default: benchmarks)"),
        ("--cache", _PROJECT / ".bench", "of environments and trained models (default: .bench)"),
        ("--comments", COMMENTS, "the data of the recipe comments"),
    ):
        parser.add_argument(name, type=Path, default=default, help=about, metavar="PATH")
