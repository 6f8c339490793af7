"""Describes what a training would do: it reads and checks the data, but fits and logs nothing."""

import pandas as pd

from cloche.training.recipe.metric_catalog import ROLES
from cloche.training.recipe.schema import Recipe
from cloche.training.recipe.sections import Range
from cloche.training.train import PreparedData, prepare_data


def explain(recipe: Recipe) -> str:
    """Describe the training that `recipe` defines.

    Raises:
        DataError: The table cannot be read, or the training would refuse it.
    """
    data = prepare_data(recipe)
    lines = [
        f"{recipe.name}: {recipe.task}, target {recipe.target}",
        f"data        {data.table.source}: {len(data.table.frame):,} rows",
        *_sides(recipe, data),
        *(
            f"{role:<11} {', '.join(recipe.columns.with_role(role))}"
            for role in ROLES
            if recipe.columns.with_role(role)
        ),
        f"estimator   {recipe.estimator.class_}{_params(recipe.estimator.params)}",
        *_search(recipe),
        f"metrics     {recipe.primary_metric} first, on the holdout with 95 % intervals",
        *_gate(recipe),
        *(f"note        {warning}" for warning in data.warnings),
        f"result      a new version of {recipe.name} with the alias challenger",
    ]
    return "\n".join(lines)


def _sides(recipe: Recipe, data: PreparedData) -> list[str]:
    lines = []
    for name, frame in (("train", data.split.train), ("holdout", data.split.holdout)):
        lines.append(f"{name:<11} {len(frame):,} rows{_balance(recipe, frame[recipe.target])}")
    unused = len(data.table.frame) - len(data.split.train) - len(data.split.holdout)
    if unused:
        lines.append(f"left out    {unused:,} rows outside both")
    return lines


def _balance(recipe: Recipe, target: pd.Series) -> str:
    if recipe.task == "regression":
        return (
            f", {recipe.target} from {target.min():g} to {target.max():g}, mean {target.mean():.4g}"
        )
    shares = target.value_counts(normalize=True).head(5)
    return ", " + ", ".join(f"{label}: {share:.1%}" for label, share in shares.items())


def _params(params: dict[str, object]) -> str:
    return f" ({', '.join(f'{k}={v}' for k, v in params.items())})" if params else ""


def _search(recipe: Recipe) -> list[str]:
    search = recipe.search
    if search is None:
        return []
    space = ", ".join(
        f"{name} {values.low} to {values.high}" if isinstance(values, Range) else f"{name} {values}"
        for name, values in search.space.items()
    )
    return [f"search      {search.trials} trials, at most {search.seconds:g} s, over {space}"]


def _gate(recipe: Recipe) -> list[str]:
    criteria = [one.summary(recipe.primary_metric) for one in recipe.gate.criteria()]
    return [f"gate        {'; '.join(criteria)}"] if criteria else []
