"""The plots of an evaluation, drawn by scikit-learn's display classes in one style.

Figures are made without pyplot, so there is no global state and no figure stays open.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
)

from cloche.training.evaluation.predictions import Pairs

INK, ACCENT, QUIET = "#1f2937", "#0f766e", "#d1d5db"


def _axes(title: str, width: float = 6.0, height: float = 4.8) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    axes = figure.subplots()
    axes.set_title(title, loc="left", color=INK, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def evaluation_plots(pairs: Pairs) -> Iterator[tuple[str, Figure]]:
    """Yield the plots of the target's task as (file name without ending, figure)."""
    task = pairs.predictions.target.task
    if task == "regression":
        yield from _regression_plots(pairs)
        return
    if task == "binary":
        yield from _binary_plots(pairs)
    yield "confusion_matrix", _confusion(pairs)


def _binary_plots(pairs: Pairs) -> Iterator[tuple[str, Figure]]:
    target = pairs.predictions.target
    truth = (pairs.truth == target.positive_code).astype(int)
    scores = pairs.predictions.positive_probability()
    curve = {"color": ACCENT, "linewidth": 2}

    figure, axes = _axes(f"ROC curve, positive label {target.positive!r}")
    RocCurveDisplay.from_predictions(
        truth, scores, ax=axes, plot_chance_level=True, name="holdout", curve_kwargs=curve
    )
    yield "roc_curve", figure

    figure, axes = _axes(f"Precision and recall, positive label {target.positive!r}")
    PrecisionRecallDisplay.from_predictions(
        truth, scores, ax=axes, plot_chance_level=True, name="holdout", curve_kwargs=curve
    )
    yield "precision_recall", figure

    figure, axes = _axes("Calibration: observed share by predicted probability")
    CalibrationDisplay.from_predictions(
        truth, scores, n_bins=10, strategy="quantile", ax=axes, name="holdout", color=ACCENT
    )
    yield "calibration", figure

    figure, axes = _axes(f"Predicted probability of {target.positive!r}")
    bins = np.linspace(0, 1, 41)
    axes.hist(scores[truth == 0], bins, density=True, color=QUIET, label="was not")
    axes.hist(
        scores[truth == 1],
        bins,
        density=True,
        histtype="step",
        label="was",
        linewidth=2,
        color=ACCENT,
    )
    axes.set(xlabel="predicted probability", ylabel="density")
    axes.legend(frameon=False)
    yield "score_distribution", figure


def _regression_plots(pairs: Pairs) -> Iterator[tuple[str, Figure]]:
    for kind, name, title in (
        ("actual_vs_predicted", "actual_by_predicted", "Actual by predicted value"),
        ("residual_vs_predicted", "residuals", "Residual by predicted value"),
    ):
        figure, axes = _axes(title)
        PredictionErrorDisplay.from_predictions(
            pairs.truth,
            pairs.predictions.values,
            kind=kind,
            ax=axes,
            subsample=min(2_000, len(pairs)),
            random_state=0,
            scatter_kwargs={"color": ACCENT, "alpha": 0.4},
        )
        yield name, figure


def _confusion(pairs: Pairs) -> Figure:
    classes = pairs.predictions.target.classes
    figure, axes = _axes("Confusion matrix, in shares of the true label")
    ConfusionMatrixDisplay.from_predictions(
        pairs.truth,
        pairs.predictions.codes,
        labels=np.arange(len(classes)),
        display_labels=[str(label) for label in classes],
        normalize="true",
        values_format=".1%",
        cmap="BuGn",
        ax=axes,
        colorbar=False,
    )
    return figure


def importance_plot(importance: pd.DataFrame, metric: str) -> Figure:
    """Plot permutation importance as bars.

    Args:
        importance: Columns `feature`, `mean`, `std`, `repeats`; most important feature first.
        metric: Name of the metric whose loss is shown.
    """
    judged = importance[importance["repeats"] > 0]
    shown = judged.head(20).iloc[::-1]
    figure, axes = _axes("Permutation importance", height=max(2.4, 0.3 * len(shown) + 1.2))
    axes.barh(
        shown["feature"], shown["mean"], xerr=shown["std"], color=ACCENT, ecolor=INK, height=0.6
    )
    some = "" if len(judged) == len(importance) else (
        f" ({len(judged):,} of {len(importance):,} columns judged)"
    )  # fmt: skip
    axes.set(xlabel=f"loss of {metric} when the column is shuffled{some}")
    return figure


def slices_plot(slices: pd.DataFrame, column: str, metric: str, overall: float) -> Figure:
    """Plot one metric as dots, one for each value of a slice column.

    Args:
        slices: Columns `value`, `rows`, and the metric.
        column: Name of the slice column, for the title.
        metric: Name of the metric.
        overall: Value of the metric on the whole holdout, drawn as a line.
    """
    shown = slices.dropna(subset=[metric]).sort_values(metric).tail(40)
    figure, axes = _axes(f"{metric} by {column}", height=max(2.4, 0.26 * len(shown) + 1.2))
    axes.axvline(overall, color=QUIET, linewidth=2, label="whole holdout", zorder=0)
    labels = [
        f"{value}  ({rows:,} rows)"
        for value, rows in zip(shown["value"], shown["rows"], strict=True)
    ]
    axes.plot(shown[metric], labels, "o", color=ACCENT)
    axes.set(xlabel=metric)
    axes.margins(y=min(0.1, 0.5 / len(shown)) if len(shown) else 0.1)
    axes.legend(frameon=False, loc="lower right")
    return figure
