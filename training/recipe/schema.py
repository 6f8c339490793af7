"""The recipe as a whole: what its sections make together, and what they must agree on."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cloche.training.recipe.cross_checks import disagreements
from cloche.training.recipe.metric_catalog import Task, metrics_for
from cloche.training.recipe.sections import (
    Checks,
    Columns,
    Data,
    Estimator,
    FractionSplit,
    Gate,
    Search,
    Section,
    Split,
    Text,
)
from cloche.training.recipe.values import MetricName, ModelName, Names, Scalar


class Recipe(Section):
    """What to train.

    Attributes:
        name: of the registered model.
        positive: for a binary task, the label whose probability is predicted; the greater of the
            two by default.
        threshold: for a binary task, the probability from which on the positive label is predicted.
        slices: columns whose values are evaluated one by one; they need not be features.
        metrics: the first one is what a search tunes and what production is compared by.
        acceleration: `auto` stores an accelerated twin with the version where one can be proven
            equal; `off` does not try.
        seed: of the split, the search and the estimator.
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
        """Every column that the training reads: features, target, split and slices; each once."""
        by = [] if isinstance(self.split, FractionSplit) else [self.split.column]
        judged = [floor.column for floor in self.gate.slices]
        names = [*self.columns.features, self.target, *by, *self.slices, *judged]
        return tuple(dict.fromkeys(names))

    @property
    def primary_metric(self) -> str:
        """The metric that a search tunes and the gate compares by."""
        return (self.metrics or tuple(metrics_for(self.task)))[0]
