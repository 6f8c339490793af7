"""The plot of throughput over connections: a panel for each model, both axes logarithmic."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from benchmarks.report import Cell

_COLUMNS = 2


def draw(by_model: Mapping[str, Sequence["Cell"]], path: Path) -> None:
    """Write the plot as SVG; the same numbers give the same bytes."""
    rows = -(-len(by_model) // _COLUMNS)
    figure = Figure(figsize=(10, 4 * max(rows, 1)), layout="constrained")
    FigureCanvasSVG(figure)
    names = list(dict.fromkeys(cell.contender for cells in by_model.values() for cell in cells))
    for position, (model, cells) in enumerate(by_model.items(), start=1):
        axes = figure.add_subplot(rows, _COLUMNS, position)
        for color, name in enumerate(names):
            own = [cell for cell in cells if cell.contender == name]
            axes.plot(
                [cell.connections for cell in own],
                [cell.rate or math.nan for cell in own],  # no response: a gap in the line
                color=f"C{color}", label=name, marker="o", markersize=4,
                linewidth=2.5 if name.startswith("cloche") else 1.2,
            )  # fmt: skip
        ticks = sorted({cell.connections for cell in cells})
        axes.set(title=model, xlabel="connections", ylabel="requests/s")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.grid(visible=True, alpha=0.3)
    if names:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=8)
    with mpl.rc_context({"svg.hashsalt": "cloche", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
