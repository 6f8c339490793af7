"""The report of the results: the tables in `results.md`."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.catalog import BASE, MODELS
from benchmarks.results import Missing, Run, Start

_REASON_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Cell:
    """The medians of all rounds of one contender with one number of connections.

    Attributes:
        contender: The name of the contender.
        connections: The number of connections.
        rate: The responses with status 200 per second.
        p50: The median latency in milliseconds.
        p99: The 99th percentile of the latency in milliseconds.
        failed: The number of failed requests in all rounds together.
        times: The rate as a multiple of `mlflow models serve`; None if that was not measured.
    """

    contender: str
    connections: int
    rate: float
    p50: float
    p99: float
    failed: int
    times: float | None


def cells(runs: Iterable[Run]) -> list[Cell]:
    """Summarize the runs of one model by number of connections, and by contender in run order."""
    groups: defaultdict[tuple[int, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.connections, run.contender].append(run)
    rates = {key: statistics.median(run.rate for run in group) for key, group in groups.items()}
    found = []
    for (connections, contender), group in sorted(groups.items(), key=lambda item: item[0][0]):
        rate = rates[connections, contender]
        base = rates.get((connections, BASE))
        found.append(
            Cell(
                contender,
                connections,
                rate,
                statistics.median(run.p50 for run in group),
                statistics.median(run.p99 for run in group),
                sum(run.failed for run in group),
                rate / base if base else None,
            )
        )
    return found


def render(sections: Mapping[str, Any], folder: Path) -> None:
    """Write `results.md`."""
    parts: list[str] = []
    if "load" in sections:
        runs = [Run(**one) for one in sections["load"]["runs"]]
        by_model = {model: cells(_of(model, runs)) for model in MODELS if list(_of(model, runs))}
        parts += _load(sections["load"], by_model)
    if "swaps" in sections:
        parts += _swaps(sections["swaps"])
    if "protocols" in sections:
        parts += _protocols(sections["protocols"])
    if "breakdown" in sections:
        parts += _breakdown(sections["breakdown"])
    (folder / "results.md").write_text("\n".join(parts).strip() + "\n")


def _load(section: Mapping[str, Any], by_model: Mapping[str, list[Cell]]) -> Iterator[str]:
    yield f"{_machine(section)} Medians of {section['rounds']} rounds of {section['seconds']} s"
    yield "in turn, one row per request. Requests/s counts answers with status 200 only."
    yield ""
    yield "; ".join(f"{name}: {pin}" for name, pin in section["versions"].items()) + "."
    for model, rows in by_model.items():
        yield f"\n## {model}: {MODELS[model]}\n"
        yield "| connections | contender | requests/s | times mlflow | p50 ms | p99 ms | failed |"
        yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: |"
        for one in rows:
            times = "" if one.times is None else f"{one.times:.1f}"
            failed = f"**{one.failed}**" if one.failed else "0"
            yield (
                f"| {one.connections} | {one.contender} | {one.rate:,.0f} | {times} "
                f"| {one.p50:.2f} | {one.p99:.2f} | {failed} |"
            )
    yield from _starts([Start(**one) for one in section["starts"]])
    yield from _missing([Missing(**one) for one in section["missing"]])


def _starts(starts: list[Start]) -> Iterator[str]:
    groups: defaultdict[tuple[str, str], list[Start]] = defaultdict(list)
    for one in starts:
        groups[one.model, one.contender].append(one)
    yield "\n## Start and memory\n"
    yield "Seconds from the command to the first prediction; PSS of the whole process tree after"
    yield "the load, in MiB: pages that processes share count once.\n"
    yield "| model | contender | first prediction s | MiB |"
    yield "| --- | --- | ---: | ---: |"
    for (model, contender), group in groups.items():
        seconds = statistics.median(one.seconds for one in group)
        size = statistics.median(one.mebibytes for one in group)
        yield f"| {model} | {contender} | {seconds:.1f} | {size:.0f} |"


def _missing(missing: list[Missing]) -> Iterator[str]:
    if missing:
        yield "\n## Not measured\n"
    for one in missing:
        reason = " ".join(one.reason.split())[:_REASON_LENGTH]
        yield f"- {one.contender} with {one.model}: {reason}"


def _swaps(section: Mapping[str, Any]) -> Iterator[str]:
    delays = sorted(section["delays"])
    yield f"\n## Swaps\n\n{_machine(section)} {len(delays)} swaps of `{section['model']}` under"
    yield f"{section['connections']} connections, in windows of {section['seconds']} s.\n"
    yield "| | requests/s, median | p99 ms, median | p99 ms, worst | failed |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for title, windows in (("before", section["before"]), ("during swaps", section["during"])):
        rate = statistics.median(one["rate"] for one in windows)
        slow = [one["p99"] for one in windows]
        failed = sum(one["failed"] for one in windows)
        yield (
            f"| {title} | {rate:,.0f} | {statistics.median(slow):.1f} | {max(slow):.1f} "
            f"| {failed} |"
        )
    yield f"\nFrom alias move to first answer of the new version: {statistics.median(delays):.1f} s"
    yield f"(median; {delays[0]:.1f} to {delays[-1]:.1f}). Memory of the whole server (PSS):"
    yield f"{section['mebibytes_after_3']:.0f} MiB after 3 versions,"
    yield f"{section['mebibytes_at_end']:.0f} MiB after {len(delays)} more."


def _protocols(section: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n## Protocols\n\n{_machine(section)} One row of `{section['model']}` per request to"
    yield f"one server; medians of {section['rounds']} rounds of {section['seconds']} s in turn."
    yield "wrk asks over HTTP, h2load over gRPC.\n"
    yield "| connections | protocol | requests/s | p50 ms | p99 ms | failed |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: |"
    for one in cells(Run(**run) for run in section["runs"]):
        yield (
            f"| {one.connections} | {one.contender} | {one.rate:,.0f} "
            f"| {one.p50:.2f} | {one.p99:.2f} | {one.failed} |"
        )


def _breakdown(section: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n## Where the microseconds go\n\n{_machine(section)} One connection, one row of"
    yield f"`{section['model']}`, {section['requests']} requests;"
    yield "means over the middle half by duration.\n"
    total = sum(one["microseconds"] for one in section["stages"])
    yield "| process | stage | µs | share |"
    yield "| --- | --- | ---: | ---: |"
    for one in section["stages"]:
        share = one["microseconds"] / total
        yield f"| {one['process']} | {one['name']} | {one['microseconds']:.0f} | {share:.0%} |"
    yield f"| | **all** | **{total:.0f}** | |"


def _machine(section: Mapping[str, Any]) -> str:
    facts = section["machine"]
    set_here = f", with {facts['environment']}" if facts["environment"] else ""
    return (
        f"{facts['date']}: {facts['cores']} cores ({facts['cpu']}), {facts['memory']}, "
        f"{facts['system']}, Python {facts['python']}{set_here}."
    )


def _of(model: str, runs: Iterable[Run]) -> Iterator[Run]:
    return (run for run in runs if run.model == model)
