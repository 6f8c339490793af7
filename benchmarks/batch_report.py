"""The results of batch scoring as a table for people: `batch-results.md`."""

import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.batch_results import BatchRun, Results
from benchmarks.catalog import MODELS

BASE: Final = "mlflow"
LIMIT: Final = "raw"
WAYS: Final = {
    "raw": "the model's own `predict` on a frame in memory, a process for each core",
    "mlflow": "`mlflow models predict`",
    "cloche": "`cloche score`, with the accelerated twin",
    "cloche_no_acceleration": "`cloche score --no-acceleration`, the model alone",
    "cloche_spark": "`cloche score --engine spark`",
}
_REASON_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Line:
    """The medians of all rounds with one model, way, format and number of rows.

    Attributes:
        model: The name of the model.
        rows: The number of rows.
        format: The format of the input.
        way: The way of scoring, a key of `WAYS`.
        seconds: The duration in seconds.
        mebibytes: The highest total PSS of all processes, in MiB.
        times: The rows per second as a multiple of `mlflow models predict` with as many rows; or,
            if that was not measured, with the largest number of rows that was.
        of_limit: The rows per second as a share of the raw limit with as many rows.
    """

    model: str
    rows: int
    format: str
    way: str
    seconds: float
    mebibytes: float
    times: float | None
    of_limit: float | None

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds


def lines(runs: list[BatchRun]) -> list[Line]:
    """Return one line for each model, number of rows, format and way."""
    return [line for name in sorted({run.model for run in runs}) for line in _lines(name, runs)]


def _lines(name: str, runs: list[BatchRun]) -> list[Line]:
    """Return the lines of one model."""
    groups: defaultdict[tuple[int, str, str], list[BatchRun]] = defaultdict(list)
    for run in runs:
        if run.model == name:
            groups[run.rows, run.format, run.way].append(run)
    seconds = {key: statistics.median(one.seconds for one in of) for key, of in groups.items()}
    base = {rows: rows / took for (rows, _, way), took in seconds.items() if way == BASE}
    limit = {rows: rows / took for (rows, _, way), took in seconds.items() if way == LIMIT}
    found = []
    for key in sorted(groups, key=lambda key: (key[0], list(WAYS).index(key[2]), key[1])):
        rows, kind, way = key
        rate = rows / seconds[key]
        compared = base.get(rows) or (base[max(base)] if base else None)
        found.append(
            Line(
                name, rows, kind, way, seconds[key],
                statistics.median(one.mebibytes for one in groups[key]),
                rate / compared if compared else None,
                rate / limit[rows] if rows in limit else None,
            )
        )  # fmt: skip
    return found


def render(results: Results, folder: Path) -> None:
    """Write the results to `batch-results.md` in a folder."""
    (folder / "batch-results.md").write_text("\n".join(_page(results)) + "\n")


def _page(results: Results) -> Iterator[str]:
    facts = results.machine
    rounds = max((len(_same(results, one)) for one in results.runs), default=0)
    yield f"{facts['date']}: {facts['cores']} cores ({facts['cpu']}), {facts['memory']},"
    yield f"{facts['system']}, Python {facts['python']},"
    yield ", ".join(f"{name} {version}" for name, version in results.versions.items()) + "."
    yield f"Medians of up to {rounds} rounds. Seconds are those of the whole command, its start"
    yield "included; MiB are the most PSS of all its processes together, looked at twice a second."
    yield ""
    yield "| model | rows | input | way | s | rows/s | times mlflow | of the raw limit | MiB |"
    yield "| --- | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for one in lines(results.runs):
        times = "" if one.times is None else f"{one.times:.1f}"
        share = "" if one.of_limit is None else f"{one.of_limit:.0%}"
        yield (
            f"| {one.model} | {one.rows:,} | {one.format} | {one.way} | {one.seconds:.1f} "
            f"| {one.rate:,.0f} | {times} | {share} | {one.mebibytes:,.0f} |"
        )
    yield ""
    yield "linear: " + MODELS["linear"] + "; twelve: " + MODELS["twelve"] + "."
    yield "; ".join(f"{way}: {about}" for way, about in WAYS.items()) + "."
    if results.missing:
        yield "\nNot measured:\n"
    for gap in results.missing:
        reason = " ".join(gap.reason.split())[:_REASON_LENGTH]
        yield f"- {gap.model}, {gap.way} with {gap.rows:,} rows of {gap.format}: {reason}"


def _same(results: Results, run: BatchRun) -> list[BatchRun]:
    return [one for one in results.runs if one.is_same(run)]
