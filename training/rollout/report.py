"""Renders the record of a rollout for people: a plot, and one HTML file without other resources."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure

from cloche.templates import template

INK, ACCENT, WARN = "#1f2937", "#0f766e", "#b3261e"
_COUNTED = ("requests", "failures", "slow", "untimed", "differences")
_EVIDENCE, _LIMIT = "evidence/", "limit/"


def render(document: Mapping[str, Any], plot: bytes) -> str:
    """Render the report, with the plot of `evidence_plot`."""
    page = template("cloche.training.rollout", "report.html.jinja", share=_share)
    return page.render(
        rollout=document,
        plot=base64.b64encode(plot).decode(),
        rows=count_rows(document),
    )


def count_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the counts as rows: share, arm, requests, and what was bad of them."""
    return [
        {"percent": percent, "arm": arm, **dict.fromkeys(_COUNTED, 0), **numbers}
        for percent, arms in document["counts"].items()
        for arm, numbers in arms.items()
    ]


def evidence_plot(document: Mapping[str, Any]) -> bytes:
    """Draw the share above, and below each piece of evidence as a part of its limit; as PNG."""
    looks = document["looks"]
    figure = Figure(figsize=(8.0, 5.4), layout="constrained", dpi=120)
    shares, evidence = figure.subplots(2, sharex=True, height_ratios=[1, 2])
    for name in (name for name in looks if name.startswith("share/")):
        shares.step(
            *_points(looks[name]), where="post", label=name.partition("/")[2], color=ACCENT,
            linestyle="-" if name.endswith("canary") else ":",
        )  # fmt: skip
    shares.set(ylabel="share in %", ylim=(0, None))
    for name in (name for name in looks if name.startswith(_EVIDENCE)):
        limit = looks[name.replace(_EVIDENCE, _LIMIT)][-1][1]
        times, values = _points(looks[name])
        label = name.removeprefix(_EVIDENCE).replace("_", " ")
        evidence.plot(times, [max(value, 0) / limit for value in values], label=label)
    evidence.axhline(1, color=WARN, linewidth=1, linestyle="--", label="limit: proven")
    evidence.set(ylabel="logarithm of the evidence,\nas a part of its limit", ylim=(0, None))
    for axes in (shares, evidence):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize="small", frameon=False)
    shares.set_title(
        f"{document['model']} version {document['version']}: {document['outcome']}",
        loc="left", color=INK, fontweight="bold",
    )  # fmt: skip
    figure.autofmt_xdate()
    image = BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def _points(series: list[list[float]]) -> tuple[list[datetime], list[float]]:
    times = [datetime.fromtimestamp(millis / 1_000, UTC) for millis, _ in series]
    return times, [value for _, value in series]


def _share(bad: int, of: int) -> str:
    return f"{100 * bad / of:.3g} %" if of else "none"
