"""The model card: what a person reads in the registry before they trust a version."""

import math

from cloche.templates import template
from cloche.training.evaluation.evaluate import Evaluation
from cloche.training.evaluation.slices import Slice
from cloche.training.recipe.metric_catalog import METRICS
from cloche.training.recipe.schema import Recipe

SMALLEST_SLICE = 200  # rows; the metric of fewer says more about chance than about the model


def model_card(
    recipe: Recipe, evaluation: Evaluation, *, rows: dict[str, int], source: str, run_id: str
) -> str:
    """Write the card in Markdown.

    Args:
        recipe: what was trained.
        evaluation: how good it is.
        rows: rows on each side of the split, by name.
        source: where the data came from, for people.
        run_id: the training run.
    """
    weakest = {
        column: min(
            (part for part in parts if _tells(part, recipe.primary_metric)),
            key=lambda part: (
                part.scores[recipe.primary_metric]
                * (1 if METRICS[recipe.primary_metric].greater_is_better else -1)
            ),
            default=None,
        )
        for column, parts in evaluation.slices.items()
    }
    card = template("cloche.training.tracking", "card.md.jinja", shown=shown)
    return card.render(
        recipe=recipe,
        evaluation=evaluation,
        metric=recipe.primary_metric,
        weakest=weakest,
        rows=rows,
        source=source,
        run_id=run_id,
    )


def shown(value: float) -> str:
    """A metric's value for people."""
    return "undefined" if math.isnan(value) else f"{value:.4f}"


def _tells(part: Slice, metric: str) -> bool:
    return part.rows >= SMALLEST_SLICE and not math.isnan(part.scores[metric])
