"""The recipe as a whole, with the checks that concern several sections."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cloche.training.recipe.criteria.gate import Gate
from cloche.training.recipe.cross_checks import disagreements
from cloche.training.recipe.metric_catalog import Task, metrics_for
from cloche.training.recipe.sections import (
    Checks,
    Columns,
    Data,
    Estimator,
    FractionSplit,
    Search,
    Section,
    Split,
    Text,
)
from cloche.training.recipe.values import MetricName, ModelName, Names, RolloutPlan, Scalar


class Recipe(Section):
    """Everything that defines a training.

    Attributes:
        name: Name of the registered model.
        description: Description of the registered model.
        task: Kind of the task: binary, multiclass or regression.
        data: Source of the table.
        target: Column that is predicted.
        positive: Label whose probability is predicted, for a binary task; by default the greater of
            the two.
        threshold: Smallest probability at which the positive label is predicted, for a binary task.
        split: How the rows are split into training rows and holdout.
        columns: The features by role.
        text: How text columns become features.
        estimator: Class and parameters of the estimator.
        search: Search for parameters of the estimator; None for no search.
        slices: Columns whose values are evaluated one by one; they need not be features.
        metrics: Names of the metrics; the first one is tuned by a search and compared with
            production.
        gate: Criteria of the gate.
        rollout: Plan for the way into production; None for Cloche's own.
        checks: Exceptions from the checks of the table.
        acceleration: `auto` stores an accelerated twin with the version if one can be proven equal;
            `off` does not try.
        seed: Seed for the split, the search, the estimator and the evaluation.
    """

    name: ModelName
    description: str = ""
    task: Task
    data: Data
    target: str
    positive: Scalar | None = None
    threshold: float = Field(default=0.5, gt=0, lt=1)
    split: Split
    columns: Columns
    text: Text = Text()
    estimator: Estimator
    search: Search | None = None
    slices: Names = ()
    metrics: Annotated[tuple[MetricName, ...], Field(strict=False)] = ()
    gate: Gate = Gate()
    rollout: RolloutPlan | None = None
    checks: Checks = Checks()
    acceleration: Literal["auto", "off"] = "auto"
    seed: int = Field(default=42, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        problems = disagreements({name: getattr(self, name) for name in type(self).model_fields})
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def used_columns(self) -> tuple[str, ...]:
        """Every column that the training reads, once: features, target, split and slices."""
        by = [] if isinstance(self.split, FractionSplit) else [self.split.column]
        names = [*self.columns.features, self.target, *by, *self.slices, *self.gate.columns()]
        return tuple(dict.fromkeys(names))

    @property
    def primary_metric(self) -> str:
        """The metric that a search tunes and the gate compares."""
        return (self.metrics or tuple(metrics_for(self.task)))[0]
