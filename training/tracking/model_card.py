"""The model card, which describes a version in the registry for people."""

import math

from cloche.templates import template
from cloche.training.evaluation.evaluate import Evaluation
from cloche.training.measurements import Slice
from cloche.training.recipe.metric_catalog import METRICS
from cloche.training.recipe.schema import Recipe

SMALLEST_SLICE = 200  # rows; the metric of fewer rows depends more on chance than on the model


def model_card(
    recipe: Recipe, evaluation: Evaluation, *, rows: dict[str, int], source: str, run_id: str
) -> str:
    """Write the card in Markdown."""
    weakest = {
        column: min(
            (part for part in parts if _is_reliable(part, recipe.primary_metric)),
            key=lambda part: (
                part.scores[recipe.primary_metric]
                * (1 if METRICS[recipe.primary_metric].greater_is_better else -1)
            ),
            default=None,
        )
        for column, parts in evaluation.slices.items()
    }
    card = template("cloche.training.tracking", "card.md.jinja", format_value=format_value)
    return card.render(
        recipe=recipe,
        evaluation=evaluation,
        metric=recipe.primary_metric,
        weakest=weakest,
        rows=rows,
        source=source,
        run_id=run_id,
    )


def format_value(value: float) -> str:
    """Return a metric's value for people."""
    return "undefined" if math.isnan(value) else f"{value:.4f}"


def _is_reliable(part: Slice, metric: str) -> bool:
    return part.rows >= SMALLEST_SLICE and not math.isnan(part.scores[metric])
