"""The tables of docs/scaling.md: a function for each, with the name of the table."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from benchmarks.scaling import arithmetic, autoscaling, polling
from benchmarks.scaling.measured import PLAIN, TWIN
from cloche.serving.dispatch.poll_policy import PollPace

_MINUTE = 60


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table, with all columns but the first aligned to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def pods() -> str:
    """Return the table of the pods for a load, and of the load on MLflow and Prometheus."""
    rows = []
    for rate in (10_000, 100_000, 1_000_000):
        for path in (TWIN, PLAIN):
            found = arithmetic.fleet(path, rate)
            rows.append([
                f"{rate:,}", path.name, f"{found.pods:,}",
                f"{found.pods * arithmetic.CORES_OF_A_POD:,}", f"{found.looks:,.0f}",
                f"{found.registries:.2f}", f"{found.series:,}",
            ])  # fmt: skip
    head = ["requests/s", "path", "pods", "cores", "looks/s", "MLflow cores for them", "series"]
    return table(head, rows)


def intervals() -> str:
    """Return the table of how many servers one core of an MLflow server can answer."""
    rows = [[f"{one} s", f"{arithmetic.servers(one):,}"] for one in (2, 10, 30, 60)]
    return table(["--poll-interval", "servers"], rows)


def crowds() -> str:
    """Return the table of increasing numbers of servers that poll one registry."""
    rows = []
    for servers in (100, 250, 500, 1000, 2000):
        for name, pacing in _PACES.items():
            found = polling.simulate(polling.Case(servers, pacing=pacing))
            gaps = sorted(found.gaps)
            worst = "never" if gaps[-1] >= 300 else f"{gaps[-1]:.0f} s"
            half = "never" if gaps[servers // 2] >= 300 else f"{gaps[servers // 2]:.1f} s"
            rows.append([
                f"{servers:,}", name, f"{found.answered / found.asked:.0%}",
                f"{found.busy / 600:.0%}", half, worst,
            ])  # fmt: skip
    head = ["servers", "pause", "looks answered in time", "registry busy"]
    return table([*head, "longest gap, median server", "longest gap, worst"], rows)


def returns() -> str:
    """Return the table of how soon servers have a response after an outage of two minutes."""
    rows = []
    for servers in (250, 1000, 2000):
        away = polling.Outage(100, 220)
        found = polling.simulate(polling.Case(servers, outage=away))
        back = sorted(found.back)
        rows.append([f"{servers:,}", f"{back[servers // 2]:.1f} s", f"{back[-1]:.0f} s"])
    return table(["servers", "half of them after", "all of them after"], rows)


def waves() -> str:
    """Return the table of how long all pods need to download a promoted version."""
    rows = []
    for size in (2, 100, 1000):
        for number in (10, 100, 1000):
            took = [arithmetic.wave(size, number, gigabits) for gigabits in (1, 10, 100)]
            moved = size * number / 1024
            rows.append(
                [f"{size:,} MiB", f"{number:,}", f"{moved:,.1f} GiB", *map(_duration, took)]
            )
    head = ["version", "pods", "moved"]
    return table([*head, "at 1 Gbit/s", "at 10 Gbit/s", "at 100 Gbit/s"], rows)


def autoscaler() -> str:
    """Return the table of the autoscaler of deploy/kubernetes under a load that grows tenfold."""
    scaler = replace(autoscaling.read(), most=1000)
    rows = []
    for path, low in ((PLAIN, 10_000.0), (TWIN, 30_000.0)):
        for rises in (10 * _MINUTE, _MINUTE):
            for period in (60, 15):
                load = autoscaling.ramp(low, 10 * low, rises=rises, holds=30 * _MINUTE)
                seen = autoscaling.simulate(
                    path, replace(scaler, up_seconds=period), load, rises + 70 * _MINUTE
                )
                held = seen[rises : rises + 30 * _MINUTE]
                steady = {one.pods for one in held[-10 * _MINUTE :]}
                lost = sum(one.refused for one in seen) / sum(one.load for one in seen)
                rows.append([
                    path.name, f"{10 * low:,.0f}", _duration(rises), f"{period} s",
                    f"{max(one.pods for one in seen)}", f"{held[-1].pods}",
                    "yes" if len(steady) == 1 else "not yet", f"{lost:.2%}",
                ])  # fmt: skip
    head = ["path", "to requests/s", "within", "doubling in", "most pods", "pods after 30 min"]
    return table([*head, "settled", "refused"], rows)


_PACES: dict[str, polling.Pacing] = {"always 2 s": polling.Fixed(), "ours": PollPace()}
TABLES: dict[str, Callable[[], str]] = {
    one.__name__: cache(one) for one in (pods, intervals, crowds, returns, waves, autoscaler)
}


def _duration(seconds: float) -> str:
    if seconds < 0.95:
        return f"{seconds:.1f} s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:,.0f} min"
