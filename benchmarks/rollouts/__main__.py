"""`python -m benchmarks.rollouts`: simulates rollouts, and makes the tables of docs/rollout.md.

It prints them, or, with `--write`, puts them into the document. All of it takes minutes.
"""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from benchmarks.rollouts import simulation

DOCUMENT = Path(__file__).parents[2] / "docs" / "rollout.md"
_ROLLOUTS = 10_000
_FAILURES = 100
_TRAFFIC: list[tuple[str, simulation.Traffic, float | None]] = [
    ("callers that come once", simulation.independent, math.inf),
    ("bursts of up to ten failures of a caller", simulation.bursts, math.inf),
    ("the same, every failure counted", simulation.bursts, None),
    ("20 callers that fail again and again, and keep their arm", simulation.returning, math.inf),
    ("the same, counted once a minute", simulation.returning, 60.0),
]


def aborts() -> str:
    """Return the table of false aborts."""
    rows = [
        f"| {name} | {simulation.false_aborts(traffic, window, _ROLLOUTS, _FAILURES):,} |"
        for name, traffic, window in _TRAFFIC
    ]
    head = (
        f"| failures | aborted of {_ROLLOUTS:,} rollouts without a difference |\n| --- | ---: |\n"
    )
    return head + "\n".join(rows)


def power() -> str:
    """Return the table of the failures that abort a worse version."""
    head = "| share | " + " | ".join(f"{ratio} times as often" for ratio in (2, 5, 20)) + " |"
    lines = [head + " production never fails |", "| ---: |" + " ---: |" * 4]
    for percent in (1.0, 5.0, 25.0):
        cells = [_until_abort(percent, ratio) for ratio in (2.0, 5.0, 20.0, 1e9)]
        lines.append(f"| {percent:g} % | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _until_abort(percent: float, ratio: float) -> str:
    found = [simulation.failures_until_abort(percent, ratio, seed) for seed in range(300)]
    canary, both = zip(*found, strict=True)
    return f"{median(canary):.0f} ({quantiles(canary, n=20)[-1]:.0f}) of {median(both):,.0f}"


def advances() -> str:
    """Return the table of the requests that prove a version that is as good as production."""
    lines = ["| step | both never fail | 0.1 % | 1 % | 5 % |", "| --- |" + " ---: |" * 4]
    for percent, following in [(1.0, 5.0), (5.0, 25.0), (25.0, 50.0), (50.0, 100.0)]:
        cells = [
            f"{_rounded(simulation.requests_to_advance(percent, following, rate, 0.001)):,}"
            for rate in (0.0, 0.001, 0.01, 0.05)
        ]
        lines.append(f"| {percent:g} to {following:g} % | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rounded(number: int) -> int:
    return round(number, 2 - len(str(number)))


def mistakes() -> str:
    """Return the table of the versions that are too bad, and look proven."""
    lines = ["| production fails | the canary fails | proven of 1,000 |", "| ---: | ---: | ---: |"]
    for rate, margin in [(0.0, 0.001), (0.001, 0.001), (0.01, 0.004)]:
        found = simulation.false_advances(1000, rate, margin)
        lines.append(f"| {100 * rate:g} % | {100 * (rate + margin):g} % | {found} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "power": power, "advances": advances, "mistakes": mistakes, "aborts": aborts,
}  # fmt: skip


def filled(text: str, names: list[str]) -> str:
    """Return the document with new tables after their marks `<!-- table: NAME -->`."""

    def made(match: re.Match[str]) -> str:
        return f"{match[1]}{TABLES[match[2]]()}\n" if match[2] in names else match[0]

    return re.sub(r"(<!-- table: (\w+) -->\n)(?:\|.*\n)*", made, text)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollouts", description=__doc__)
    parser.add_argument("tables", nargs="*", choices=TABLES, help="all without")
    parser.add_argument("--write", action="store_true", help="into docs/rollout.md")
    arguments = parser.parse_args()
    names = arguments.tables or list(TABLES)
    if arguments.write:
        DOCUMENT.write_text(filled(DOCUMENT.read_text(), names))
        return
    for name in names:
        print(f"{name}\n\n{TABLES[name]()}\n", flush=True)


if __name__ == "__main__":
    main()
